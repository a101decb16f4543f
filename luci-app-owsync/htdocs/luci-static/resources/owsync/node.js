'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.verdict as verdict';
'require owsync.words as words';
/* global amounts, dialog, live, verdict, words */

/*
 * This router, and what happened lately.
 */

const EVENTS = {
	'owsync.synced': _('synced'),
	'owsync.sent': _('sent'),
	'owsync.conflict': _('conflict'),
	'owsync.merged': _('merged'),
	'owsync.hold': _('stopped'),
	'owsync.rollback': _('rolled back'),
	'owsync.rejected': _('rejected'),
	'owsync.peer': _('router')
};

const TONES = {
	'owsync.conflict': 'warning',
	'owsync.merged': 'success',
	'owsync.hold': 'important owsync-bad',
	'owsync.rollback': 'warning',
	'owsync.sent': 'success',
	'owsync.rejected': 'warning',
	'owsync.synced': 'success'
};

function facts(status) {
	return [
		[ _('Name'), status.name ],
		[ _('Identity'), amounts.short(status.public_key || status.node) ],
		[ _('Identity in full'), status.public_key ],
		[ _('Key fingerprint'), status.key_fingerprint
			? _('%s (the same on every router of yours)').format(status.key_fingerprint) : null ],
		[ _('Encryption'), status.encryption ? _('on')
			: (verdict.keyProblem(status) ? _('not yet: there is no key') : _('off: only for links that are private already')) ],
		[ _('Role'), status.role === 'reference' ? _('the reference: new routers take its files')
			: status.role === 'member' ? _('a member: it has exchanged with the reference') : null ],
		[ _('Not kept in the history'), status.not_kept_count
			? N_(status.not_kept_count, '%d previous version that was too large, last of %s', '%d previous versions that were too large, last of %s')
				.format(status.not_kept_count, (L.toArray(status.not_kept)[0] || {}).path) : null ],
		[ _('Version'), status.version ],
		[ _('Running for'), amounts.duration(status.uptime || 0) ],
		[ _('Listens on'), L.toArray(status.listen).join(', ') || _('nothing yet') ]
	].filter(function(fact) {
		return fact[1];
	});
}

return baseclass.extend({
	section: function() {
		const body = live.node('tbody', {});

		return {
			node: live.node('div', { 'class': 'cbi-section' }, live.node('h3', {}, _('This router')),
				live.node('table', { 'class': 'table' }, body)),

			update: function(status) {
				live.list(body, facts(status), function(fact) {
					return fact[0];
				}, function(fact) {
					return live.node('tr', { 'class': 'tr' },
						live.node('td', { 'class': 'td left', 'width': '33%' }, fact[0]),
						live.node('td', { 'class': 'td left owsync-path' }));
				}, function(row, fact) {
					live.text(row.children[1], fact[1]);
				});
			}
		};
	},

	/* The events; where the reader may act on one, `page` has the actions. */
	events: function(page) {
		const columns = [
			{ title: _('When'), update: function(cell, event) {
				live.text(cell, amounts.time(event.time));
			} },
			{ title: _('What'), make: function() {
				return live.node('span', { 'class': 'label' });
			}, update: function(label, event) {
				live.attribute(label, 'class', 'label ' + (TONES[event.event] || ''));
				live.text(label, EVENTS[event.event] || event.event);
			} },
			{ title: _('Message'), classes: 'owsync-path', update: function(cell, event) {
				live.text(cell, words.plain(event.text));
			} }
		];

		if (page.mayAct)
			columns.push({ title: _('Actions'), classes: 'cbi-section-actions', make: function(event) {
				if (!event.number || L.toArray(event.not_taken).length === 0)
					return live.node('div', {});

				return live.node('div', { 'class': 'owsync-buttons' }, dialog.button(_('Other values'), 'neutral', function() {
					return page.acts.lost(event);
				}));
			}, update: function() {} });

		const table = live.table(columns, _('Nothing has happened since owsync was started.'));

		return {
			node: live.node('div', { 'class': 'cbi-section' }, live.node('h3', {}, _('Recent events')), table.node),

			update: function(status) {
				const seen = {};

				table.update(L.toArray(status.events), function(event) {
					const key = [ event.time, event.event, event.text ].join(' ');

					seen[key] = (seen[key] || 0) + 1;

					return key + ' ' + seen[key];
				});
			}
		};
	}
});
