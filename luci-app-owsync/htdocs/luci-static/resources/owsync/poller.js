'use strict';
'require baseclass';
'require poll';
'require owsync.daemon as daemon';
'require owsync.live as live';
'require owsync.peers as peers';
'require owsync.words as words';
/* global daemon, live, peers, words */

/*
 * Watches other routers come up, as long as the element that shows it is on the page.
 */
return baseclass.extend({
	watch: function(parent, waiting) {
		const list = live.node('ul', { 'class': 'owsync-plain', 'role': 'status' });
		const hint = live.node('p', { 'class': 'spinning' }, waiting);

		parent.appendChild(live.node('div', {}, hint, list));

		function look() {
			if (!document.contains(list)) {
				poll.remove(look);

				return Promise.resolve();
			}

			return daemon.call('status').then(function(status) {
				const rows = peers.rows(status);

				live.shown(hint, !rows.some(function(row) {
					return row.peer.in_sync;
				}));
				live.list(list, rows, function(row) {
					return row.key;
				}, function() {
					return live.node('li', {}, live.node('span', { 'class': 'label' }), ' ', live.node('span', {}));
				}, function(line, row) {
					const state = words.state(row.peer.state);

					live.attribute(line.children[0], 'class', state[1]);
					live.text(line.children[0], state[0]);
					live.text(line.children[1], row.peer.in_sync ? row.name : words.peer(row.name, row.peer));
				});
			}, function() {
				/* It is asked again in a moment; what was seen last stays. */
				return null;
			});
		}

		poll.add(look, 2);

		return look();
	}
});
