'use strict';
'require baseclass';
'require uci';
'require owsync.amounts as amounts';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.verdict as verdict';
'require owsync.words as words';
/* global amounts, dialog, live, verdict, words */

/*
 * The table of peers: who they are, whether they are in sync, since when, and if not why not.
 */

/* Peers as a list, those that wait to be accepted first. */
function rows(status) {
	const waiting = L.toArray(status.waiting).map(function(one) {
		return { key: 'waiting ' + one.node, name: one.name || one.address, peer: {
			state: words.isTurnedAway(one) ? 'turned away' : 'waiting', address: one.address, node: one.node, public_key: one.public_key, reason: one.reason,
			message: one.message, since: one.since
		}, waiting: one };
	});

	return waiting.concat(Object.keys(status.peers || {}).map(function(name) {
		return { key: 'peer ' + name, name: name, peer: status.peers[name], waiting: null };
	}));
}

/* Files that one of the two has and the other has not got yet, as far as either said which. */
function behind(peer) {
	return Object.keys(peer.shares || {}).reduce(function(sum, name) {
		const share = peer.shares[name];

		return sum + (share.pending_count || 0) + (share.pending_there_count || 0);
	}, 0);
}

function lastExchange(peer) {
	if (peer.connected)
		return peer.quiet_for < 5 ? _('just now') : _('%s ago').format(amounts.duration(peer.quiet_for || 0));

	return peer.last_connected ? amounts.ago(peer.last_connected) : _('never');
}

/* Whether the identity of a peer is insisted on: because the settings say so, or because it was met. */
function identity(name, peer) {
	if (uci.get('owsync', name, 'public_key'))
		return _('pinned in the settings');

	if (peer.state === 'this node')
		return null;

	if (peer.introduced_by)
		return _('known by its introduction');

	return peer.public_key ? _('known since the first connection') : _('not connected yet');
}

/* How the changes of a peer come here. */
function way(peer) {
	if (!peer.path)
		return null;

	return peer.path === 'direct' ? _('direct') : peer.path === 'none' ? _('none')
		: _('relayed by %s').format(peer.introduced_by);
}

/* Whether a peer can be forgotten: it is in no settings of this router, and not connected. */
function isForgettable(peer) {
	return peer.state === 'away' || (peer.introduced_by !== undefined && !peer.connected);
}

/* Whether a peer is one that there can be a connection with. */
function isUsed(peer) {
	return [ 'away', 'disabled', 'forgotten', 'this node', 'turned away', 'waiting' ].indexOf(peer.state) < 0;
}

function sentence(row) {
	if (row.peer.state === 'relayed' || row.peer.state === 'this node')
		return words.peer(row.name, row.peer);

	if (row.peer.in_sync)
		return row.peer.since ? _('since %s').format(amounts.time(row.peer.since)) : '';

	return words.peer(row.name, row.peer);
}

function facts(row) {
	const peer = row.peer;
	const list = [
		[ _('Identity'), peer.public_key || peer.node ? amounts.short(peer.public_key || peer.node) : null ],
		[ _('Identity check'), identity(row.name, peer) ],
		[ _('Own name'), peer.name && peer.name !== row.name ? peer.name : null ],
		[ _('Introduced by'), peer.introduced_by || null ],
		[ _('Path'), way(peer) ],
		[ _('Same router as'), peer.same_node_as || null ],
		[ _('Connected for'), peer.connected ? amounts.duration(peer.connected_for || 0) : null ],
		[ _('Next attempt'), peer.retry_in ? _('in %s').format(amounts.duration(peer.retry_in)) : null ],
		[ _('Attempts since it was in sync'), peer.retries ? peer.retries : null ],
		[ _('Direction'), peer.direction || null ],
		[ _('Advice'), row.waiting || (peer.in_sync && peer.state !== 'relayed') ? null : words.peerAdvice(peer) ],
		[ _('Message'), peer.in_sync ? null : words.plain(peer.message) ],
		[ _('Not in sync behind it'), L.toArray(peer.behind).map(function(one) {
			return one.name;
		}).join(', ') ]
	];

	Object.keys(peer.shares || {}).forEach(function(name) {
		const share = peer.shares[name];

		list.push([ _('Share %s').format(name), share.in_sync ? _('in sync') : words.plain(share.message) ]);
		list.push([ _('Files of %s').format(name), share.filters_differ
			? _('The two routers choose different files in it.') : null ]);
		L.toArray(share.pending_there).forEach(function(one) {
			list.push([ _('Missing there'), _('%s: %s').format(one.path, words.path(one)) ]);
		});
	});

	return list.filter(function(fact) {
		return fact[1] !== null && fact[1] !== undefined && fact[1] !== '';
	});
}

return baseclass.extend({
	behind: behind,
	rows: rows,

	/* The section of the page. `page` has `mayAct` and the actions. */
	section: function(page) {
		const columns = [
			{ title: _('Name'), make: this.makeName, update: this.updateName },
			{ title: _('State'), make: this.makeState, update: this.updateState },
			{ title: _('Last exchange'), update: function(cell, row) {
				live.text(cell, row.waiting ? _('never') : lastExchange(row.peer));
			} },
			{ title: _('Behind'), update: function(cell, row) {
				const count = behind(row.peer);

				live.text(cell, count ? N_(count, '%d file', '%d files').format(count) : '–');
			} },
			{ title: _('Version'), update: function(cell, row) {
				live.text(cell, row.peer.version || '–');
			} }
		];

		if (page.mayAct)
			columns.push({ title: _('Actions'), classes: 'cbi-section-actions',
				make: this.makeActions.bind(this, page), update: this.updateActions });

		const table = live.table(columns, _('No other router is known yet.'));

		return {
			node: live.node('div', { 'class': 'cbi-section' }, live.node('h3', {}, _('Other routers')), table.node),

			update: function(status) {
				table.update(rows(status), function(row) {
					return row.key;
				});
			}
		};
	},

	makeName: function() {
		return live.node('div', {}, live.node('strong', {}), live.node('br'), live.node('small', {}));
	},

	updateName: function(node, row) {
		live.text(node.children[0], row.name);
		live.text(node.children[2], row.peer.address || '');
	},

	makeState: function() {
		return live.node('div', {},
			live.node('span', { 'class': 'label' }), ' ', live.node('span', {}),
			live.node('details', {}, live.node('summary', {}, _('Details')), live.node('dl', { 'class': 'owsync-facts' })));
	},

	updateState: function(node, row) {
		const state = words.state(verdict.isPaused(row.peer) ? 'paused' : row.peer.state);

		live.attribute(node.children[0], 'class', state[1]);
		live.text(node.children[0], state[0]);
		live.text(node.children[1], sentence(row));
		live.list(node.querySelector('dl'), facts(row), function(fact) {
			return fact[0] + ' ' + (fact[0] === _('Missing there') ? fact[1] : '');
		}, function() {
			return live.node('div', {}, live.node('dt', {}), live.node('dd', {}));
		}, function(line, fact) {
			live.text(line.children[0], fact[0]);
			live.text(line.children[1], fact[1]);
		});
	},

	makeActions: function(page, made) {
		/* The row as it is when a button is pressed, not as it was when the button was made. */
		const node = live.node('div', { 'class': 'owsync-buttons' });
		const row = function() {
			return node.owsyncRow || made;
		};

		[
			dialog.button(_('Sync now'), 'action', function() {
				return page.acts.sync(row().name, null);
			}),
			dialog.button(_('Pause'), 'neutral', function() {
				return page.acts.pause(row().name, null);
			}),
			dialog.button(_('Resume'), 'action', function() {
				return page.acts.resume(row().name, null);
			}),
			dialog.button(_('Accept'), 'positive', function() {
				return page.acts.accept(row().waiting);
			}),
			dialog.button(_('Forget'), 'negative', function() {
				return page.acts.forget(row().name, row().peer);
			})
		].forEach(function(button) {
			node.appendChild(button);
		});

		return node;
	},

	updateActions: function(node, row) {
		const isPaused = verdict.isPaused(row.peer);
		const isThere = isUsed(row.peer);
		const isAsking = row.waiting !== null && !words.isTurnedAway(row.waiting);
		const seen = [ isThere && !isPaused, isThere && !isPaused, isThere && isPaused, isAsking, isForgettable(row.peer) ];

		node.owsyncRow = row;
		seen.forEach(function(isSeen, at) {
			live.shown(node.children[at], isSeen);
			live.attribute(node.children[at], 'aria-label', node.children[at].textContent + ': ' + row.name);
		});
	}
});
