'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.deciding as deciding';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.verdict as verdict';
'require owsync.words as words';
/* global amounts, deciding, dialog, live, verdict, words */

/*
 * The table of shares: what is synced, its size, and what is not synced, with its reason.
 */

function stateWord(share) {
	if (share.hold)
		return words.isDecision(share.hold) ? 'held' : 'stopped';

	if (share.blocked)
		return 'blocked';

	if (verdict.isPaused(share))
		return 'paused';

	if (share.unconfirmed)
		return 'unconfirmed';

	if (words.waiting(share).some(words.needsUser))
		return 'held';

	return share.state === 'idle' && (share.pending_count > 0 || share.unreleased_count > 0) ? 'waits' : share.state;
}

function sentence(name, share) {
	if (share.hold)
		return _('Because %s.').format(words.hold(name, share.hold));

	if (share.blocked)
		return _('The storage refuses a change; it is retried automatically.');

	if (share.commit)
		return _('Changes of %s are being applied on all routers.').format(share.commit.router);

	if (share.unconfirmed && share.unconfirmed.first)
		return _('The first sync with %s was applied.').format(share.unconfirmed.peer);

	if (share.unconfirmed)
		return _('A change by %s is unconfirmed.').format(share.unconfirmed.peer);

	if (share.warning)
		return _('No file is chosen, so nothing is synced.');

	const pending = share.pending_count || 0;

	if (pending > 0)
		return N_(pending, '%d file could not be exchanged yet.', '%d files could not be exchanged yet.').format(pending);

	if (share.unreleased_count > 0)
		return N_(share.unreleased_count, '%d change waits for Sync now.', '%d changes wait for Sync now.')
			.format(share.unreleased_count);

	if (share.uncommitted && share.uncommitted.length)
		return _('Changes that are not applied yet are not synced: %s.').format(share.uncommitted.join(', '));

	return '';
}

/* Every path that has something to be said about it. */
function paths(share) {
	const of = function(list, kind) {
		return L.toArray(list).map(function(one) {
			return { kind: kind, path: one.path, peer: one.peer, text: words.path(one), reason: one.reason,
				message: words.hasDetails(one) ? one.message : null };
		});
	};

	return of(words.waiting(share), _('waits')).concat(
		L.toArray(share.unreleased).map(function(one) {
			return { kind: _('to be sent'), path: one.path, text: words.path({ reason: 'manual' }), message: null };
		}),
		of(share.deviations, _('only here')),
		of(share.kept_dirs, _('kept')),
		of(share.left_out, _('left out')),
		of(share.skipped, _('left out')));
}

function isDecidable(share) {
	return words.waiting(share).some(deciding.isDecidable);
}

return baseclass.extend({
	/* The section of the page; `page` has `mayAct`, the actions, and `last`: the newest version of each share. */
	section: function(page) {
		const columns = [
			{ title: _('Share'), make: this.makeName, update: this.updateName },
			{ title: _('Files'), update: function(cell, row) {
				live.text(cell, N_(row.share.files, '%d file, %s', '%d files, %s')
					.format(row.share.files, amounts.size(row.share.bytes)));
			} },
			{ title: _('State'), make: this.makeState, update: this.updateState },
			{ title: _('Last change'), update: function(cell, row) {
				const sent = row.share.last_sent;
				const kept = page.last[row.name];
				const last = sent && (!kept || kept.time < sent.time) ? sent : kept;

				live.text(cell, !last ? '–' : last === sent
					? _('%s: %s sent to %s').format(amounts.ago(sent.time), sent.paths.join(', '), sent.peers.join(', '))
					: _('%s: %s by %s').format(amounts.ago(last.time), last.path, last.node));
				live.attribute(cell, 'title', last ? amounts.time(last.time) : null);
			} }
		];

		if (page.mayAct)
			columns.push({ title: _('Actions'), classes: 'cbi-section-actions',
				make: this.makeActions.bind(this, page), update: this.updateActions });

		const table = live.table(columns, _('Nothing is chosen to be synced.'));

		return {
			node: live.node('div', { 'class': 'cbi-section' }, live.node('h3', {}, _('What is synced')), table.node),

			update: function(status) {
				table.update(Object.keys(status.shares || {}).map(function(name) {
					return { name: name, share: status.shares[name] };
				}), function(row) {
					return row.name;
				});
			}
		};
	},

	makeName: function() {
		return live.node('div', {}, live.node('strong', {}), live.node('br'),
			live.node('small', { 'class': 'owsync-path' }));
	},

	updateName: function(node, row) {
		live.text(node.children[0], row.name);
		live.text(node.children[2], row.share.dir);
	},

	makeState: function() {
		return live.node('div', {},
			live.node('span', { 'class': 'label' }), ' ', live.node('span', {}),
			live.node('details', {}, live.node('summary', {}),
				live.node('ul', { 'class': 'owsync-plain owsync-scroll' })));
	},

	updateState: function(node, row) {
		const state = words.state(stateWord(row.share));
		const list = paths(row.share);
		const count = [ 'pending', 'unreleased', 'deviations', 'left_out', 'skipped' ].reduce(function(sum, key) {
			return sum + (row.share[key + '_count'] || 0);
		}, L.toArray(row.share.kept_dirs).length + L.toArray(row.share.held_paths).length);

		live.attribute(node.children[0], 'class', state[1]);
		live.text(node.children[0], state[0]);
		live.text(node.children[1], sentence(row.name, row.share));
		live.shown(node.children[2], list.length > 0);
		live.text(node.querySelector('summary'), N_(count, '%d file with a reason', '%d files with a reason').format(count));
		live.list(node.querySelector('ul'), list, function(one) {
			return [ one.kind, one.path, one.peer, one.reason ].join(' ');
		}, function() {
			return live.node('li', {}, live.node('strong', { 'class': 'owsync-path' }), ' ', live.node('span', {}),
				live.node('pre', { 'class': 'owsync-message' }));
		}, function(line, one) {
			live.text(line.children[0], one.path);
			live.text(line.children[1], one.peer
				? _('%s (%s, from %s)').format(one.text, one.kind, one.peer)
				: _('%s (%s)').format(one.text, one.kind));
			live.text(line.children[2], one.message || '');
			live.shown(line.children[2], one.message);
		});
	},

	makeActions: function(page, made) {
		const node = live.node('div', { 'class': 'owsync-buttons' });
		const row = function() {
			return node.owsyncRow || made;
		};

		[
			dialog.button(_('Decide'), 'positive', function() {
				return row().share.hold ? page.acts.hold(row().name) : page.acts.decide(row().name);
			}),
			dialog.button(_('Keep the change'), 'positive', function() {
				return page.acts.keep(row().name);
			}),
			dialog.button(_('Roll it back'), 'negative', function() {
				return page.acts.rollback(row().name);
			}),
			dialog.button(_('Sync now'), 'action', function() {
				return page.acts.sync(null, row().name);
			}),
			dialog.button(_('Pause'), 'neutral', function() {
				return page.acts.pause(null, row().name);
			}),
			dialog.button(_('Resume'), 'action', function() {
				return page.acts.resume(null, row().name);
			}),
			dialog.button(_('Local options'), 'neutral', function() {
				return page.acts.locals(row().name);
			})
		].forEach(function(button) {
			node.appendChild(button);
		});

		return node;
	},

	updateActions: function(node, row) {
		const share = row.share;
		const isPaused = verdict.isPaused(share);
		const isFree = !share.hold && !isPaused;
		const seen = [ (share.hold && words.isDecision(share.hold)) || isDecidable(share), share.unconfirmed, share.unconfirmed, isFree, isFree, isPaused, share.files > 0 ];

		node.owsyncRow = row;
		seen.forEach(function(isSeen, at) {
			live.shown(node.children[at], isSeen);
			live.attribute(node.children[at], 'aria-label', node.children[at].textContent + ': ' + row.name);
		});
	}
});
