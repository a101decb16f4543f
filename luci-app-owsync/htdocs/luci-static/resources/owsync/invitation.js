'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
/* global amounts, daemon, dialog, live */

/*
 * Invitations: the join text to copy, and the routers that wait to be accepted.
 */

/* Copies a text; where the page is not served safely, browsers leave only the old way. */
function copy(area) {
	if (navigator.clipboard && window.isSecureContext)
		return navigator.clipboard.writeText(area.value);

	area.focus();
	area.select();

	return document.execCommand('copy') ? Promise.resolve()
		: Promise.reject(new Error(_('The browser does not copy: the text is marked, press Ctrl-C.')));
}

return baseclass.extend({
	/* Whether what this page shows can be read on its way to the browser. */
	isOverheard: function() {
		return window.location.protocol !== 'https:'
			&& [ 'localhost', '127.0.0.1', '[::1]' ].indexOf(window.location.hostname) < 0;
	},

	/* What is to be known about that, or nothing. */
	warning: function() {
		if (!this.isOverheard())
			return null;

		return live.node('p', { 'class': 'alert-message warning' },
			_('This page is not encrypted (http): anyone who listens on this network can read the join text, which contains the key. Open it over https, or do this only where you trust the network.'));
	},

	/* The join text that the daemon made, ready to be copied. */
	text: function(made) {
		const area = live.node('textarea', {
			'class': 'cbi-input-textarea owsync-text', 'rows': 8, 'readonly': '', 'spellcheck': 'false',
			'aria-label': _('Join text')
		});
		const done = live.node('span', { 'role': 'status' });

		area.value = made.join_text;

		return live.node('div', {},
			live.node('p', {}, _('Copy this text. On the other router open Services, owsync, choose “Join another router” and paste it there.')),
			area,
			live.node('div', { 'class': 'owsync-buttons' },
				dialog.button(_('Copy'), 'action', function() {
					return copy(area).then(function() {
						live.text(done, _('It was copied.'));
					});
				}), done),
			live.node('p', {}, _('Treat it as a password. One router can join with it, until %s.').format(amounts.time(made.expires))),
			live.node('p', {}, _('The other router will look for this one at %s.').format((made.addresses || []).join(', '))),
			this.warning());
	},

	/* A field for the addresses under which others reach this router. */
	addresses: function() {
		const host = window.location.hostname.replace('[', '').replace(']', '');
		const input = live.node('input', {
			'class': 'cbi-input-text', 'type': 'text', 'id': 'owsync-addresses', 'autocomplete': 'off',
			'placeholder': _('found automatically')
		});

		return {
			node: live.node('div', { 'class': 'cbi-value' },
				live.node('label', { 'class': 'cbi-value-title', 'for': 'owsync-addresses' },
					_('Address of this router')),
				live.node('div', { 'class': 'cbi-value-field' }, input,
					live.node('div', { 'class': 'cbi-value-description' },
						_('Under which the other router reaches this one. You opened this page as %s. Do not use an address that moves from router to router (VRRP, keepalived).').format(host)))),

			value: function() {
				return input.value.split(' ').join(',').split(',').filter(function(address) {
					return address !== '';
				});
			}
		};
	},

	/* Makes another join text. */
	invite: function() {
		const self = this;
		const addresses = this.addresses();

		dialog.open(_('Invite a router'),
			live.node('p', {}, _('The router that joins takes over what is synced here, as it is here. What it had before is kept in its history.')),
			addresses.node,
			this.warning(),
			dialog.buttons(dialog.closing(_('Cancel')), dialog.button(_('Show the join text'), 'action', function() {
				return daemon.call('invite', addresses.value()).then(function(made) {
					dialog.open(_('Invite a router'), self.text(made), dialog.buttons(dialog.closing()));
				});
			})));
	},

	/* Accepts a router that waits. */
	accept: function(waiting, done) {
		const isChanged = waiting.reason === 'identity_changed';

		dialog.open(_('Accept this router?'),
			live.node('p', {}, isChanged
				? _('A different identity was known under this name. If the router was reset or reinstalled, accept it. If not, someone else may have the key.')
				: _('It knows the key but has never connected before. Accept it only if it is yours: it will be able to change the synced files of this router.')),
			live.node('table', { 'class': 'table' },
				[ [ _('Name'), waiting.name ], [ _('Address'), waiting.address ],
					[ _('Identity'), amounts.short(waiting.public_key || waiting.node) ] ].map(function(row) {
					return live.node('tr', { 'class': 'tr' },
						live.node('td', { 'class': 'td left', 'width': '33%' }, row[0]),
						live.node('td', { 'class': 'td left' }, row[1]));
				})),
			live.node('p', {}, _('Compare the identity with the one on the overview page of that router.')),
			dialog.buttons(dialog.closing(_('Not now')), dialog.button(_('Accept'), 'positive', function() {
				return daemon.call('accept', waiting.public_key || waiting.node || waiting.name).then(function() {
					dialog.close();

					return done();
				});
			})));
	}
});
