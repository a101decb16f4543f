'use strict';
'require baseclass';
'require fs';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.invitation as invitation';
'require owsync.live as live';
'require owsync.packages as packages';
'require owsync.peers as peers';
'require owsync.poller as poller';
'require owsync.service as service';
'require owsync.steps as steps';
'require owsync.values as values';
'require owsync.verdict as verdict';
/* global daemon, dialog, invitation, live, packages, peers, poller, service, steps, values, verdict */

/*
 * Becoming one of several routers that are in sync: with a join text, or with the key and an address.
 */

/* Where the daemon looks for the key, and with which rights it must lie there: its owner alone may read it. */
const KEY_FILE = '/etc/owsync/key';
const KEY_MODE = 384;

/* How long the other router is waited for, in milliseconds. */
const PATIENCE = 15000;

return baseclass.extend({
	/* The part of the guided start for a router that joins; `frame` is that of the whole. */
	part: function(list, frame) {
		const self = this;
		const text = live.node('textarea', {
			'class': 'cbi-input-textarea owsync-text', 'rows': 8, 'spellcheck': 'false', 'autocomplete': 'off',
			'id': 'owsync-join', 'placeholder': '[owsync-join-1]\n…\n[owsync-join-end …]'
		});

		return live.node('div', {},
			live.node('h3', {}, _('The join text')),
			live.node('p', {}, _('On the router that is the reference open Services, owsync: it shows the text at the end of its own start, and later under “Invite a router”. What to sync comes with it. The files of this router that differ are replaced, and kept in its history.')),
			live.node('label', { 'for': 'owsync-join' }, _('Paste the whole text here:')), text,
			invitation.warning(),
			live.node('div', { 'class': 'cbi-page-actions' }, dialog.button(_('Join'), 'apply', function() {
				return self.join(frame, text.value);
			})),
			this.keyForm(list, frame));
	},

	/* The way in for those who have a key instead of a text. Few need it: it is made when it is opened. */
	keyForm: function(list, frame) {
		const self = this;
		const details = live.node('details', {
			'toggle': function() {
				if (details.open && details.children.length === 1)
					details.appendChild(self.keyFields(list, frame));
			}
		}, live.node('summary', {}, _('I have a key instead of a join text')));

		return details;
	},

	keyFields: function(list, frame) {
		const self = this;
		const boxes = packages.chooser(list);
		const field = function(id, title, explanation, input) {
			return live.node('div', { 'class': 'cbi-value' },
				live.node('label', { 'class': 'cbi-value-title', 'for': id }, title),
				live.node('div', { 'class': 'cbi-value-field' }, input,
					live.node('div', { 'class': 'cbi-value-description' }, explanation)));
		};
		const key = live.node('input', { 'class': 'cbi-input-text', 'type': 'password', 'id': 'owsync-key',
			'autocomplete': 'off' });
		const address = live.node('input', { 'class': 'cbi-input-text', 'type': 'text', 'id': 'owsync-other',
			'autocomplete': 'off', 'placeholder': '192.168.1.2' });

		return live.node('div', {},
			field('owsync-key', _('Key'),
				_('64 hexadecimal digits, the same on every router. They are stored in %s.').format(KEY_FILE), key),
			field('owsync-other', _('Address of the other router'),
				_('Where it is reached. It shows this router as waiting, and asks whether to accept it.'), address),
			boxes.node,
			live.node('div', { 'class': 'cbi-page-actions' }, dialog.button(_('Join with the key'), 'apply', function() {
				return self.joinByKey(frame, { key: key.value, address: address.value, chosen: boxes.value() });
			})));
	},

	/* The last step of either way to join: whether the other router can be reached. */
	meet: function() {
		return {
			text: _('Connecting to the other router'),
			act: function(joined) {
				return service.until(function(status) {
					return peers.rows(status).some(function(row) {
						return row.peer.connected;
					});
				}, PATIENCE).then(function(status) {
					const isMet = peers.rows(status).some(function(row) {
						return row.peer.connected;
					});

					if (!isMet) {
						const error = new Error(_('The other router is not there yet.'));

						error.isJoined = true;
						throw error;
					}

					return joined;
				});
			}
		};
	},

	/* Takes the steps of joining, and shows what comes of it. */
	enter: function(frame, list) {
		return steps.take(frame, list).then(function(joined) {
			frame.progress.appendChild(live.node('p', { 'class': 'alert-message success' },
				_('This router has joined %s.').format(joined)));
			poller.watch(frame.progress, _('The two routers exchange what they have.'));
			frame.progress.appendChild(live.node('div', { 'class': 'cbi-page-actions' },
				dialog.button(_('Continue to the overview'), 'apply', frame.done)));
		}, function(error) {
			/* Joined is joined: there is nothing left to be set up, and the overview says what is amiss. */
			if (error.isJoined)
				return frame.done();

			throw error;
		});
	},

	join: function(frame, text) {
		if (text.indexOf('[owsync-join') < 0)
			throw new Error(_('This is no join text: it begins with [owsync-join and ends with a closing bracket.'));

		return this.enter(frame, [
			steps.switchOn(),
			{
				text: _('Taking over the key and what is to be synced'),
				act: function() {
					return daemon.call('join', text).then(function(answer) {
						return answer.joined;
					});
				}
			},
			this.meet()
		]);
	},

	/* Joins with nothing but the key and an address: what to sync is chosen here. */
	joinByKey: function(frame, told) {
		const key = told.key.trim();
		const address = told.address.trim();

		if (values.publicKey(key) !== true)
			throw new Error(_('A key has 64 hexadecimal digits.'));

		if (address === '' || values.address(address) !== true)
			throw new Error(_('The address of the other router is needed.'));

		if (told.chosen.length === 0)
			throw new Error(_('Select at least one package to sync.'));

		return this.enter(frame, [
			steps.switchOn(),
			{
				text: _('Storing the key'),
				act: function(status) {
					if (!verdict.isNew(status))
						throw new Error(_('There is a key on this router already, and it is not overwritten.'));

					return fs.write(KEY_FILE, key + '\n', KEY_MODE);
				}
			},
			{
				text: _('Saving what is to be synced, and with which router'),
				act: function() {
					return service.change({ include: told.chosen, peer: [ address ] }).then(function() {
						return daemon.call('reload');
					}).then(function() {
						return address;
					});
				}
			},
			this.meet()
		]);
	}
});
