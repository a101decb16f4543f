'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.words as words';
/* global amounts, daemon, dialog, live, words */

/*
 * Decisions that wait for the user: a preview of each answer, and the answer.
 */

/* Rows of a preview that are shown; there may be thousands. */
const SHOWN = 100;

const WHAT = {
	changed: _('changed'),
	created: _('created'),
	deleted: _('deleted'),
	mode: _('given other rights'),
	owner: _('given another owner'),
	sent: _('sent'),
	time: _('given another time')
};

/* An answer's list of what would happen. */
function would(answer) {
	const list = L.toArray(answer.preview);

	list.count = answer.count === undefined ? list.length : answer.count;
	list.unknown = L.toArray(answer.unknown);

	return list;
}

function what(one) {
	return one.waits ? _('waits') : (WHAT[one.what] || one.what || '');
}

function where(one) {
	if (one.where === 'here')
		return _('here');

	return one.peer ? _('on %s').format(one.peer) : _('there');
}

/* Whose own changes could not be asked for. */
function unknown(list) {
	return list.unknown.map(function(one) {
		return live.node('p', { 'class': 'owsync-remark' },
			_('%s: %s').format(one.peer, words.plain(one.message)));
	});
}

/* The options of a package that would change, one below the other; null where that was not compared. */
function options(one) {
	const lines = L.toArray(one.options).slice();
	const more = (one.options_count || 0) - lines.length;

	if (one.options !== undefined && lines.length === 0)
		lines.push(_('No option changes: only comments, quotes or the order of options.'));

	if (more > 0)
		lines.push(N_(more, 'And %d more option.', 'And %d more options.').format(more));

	if (one.options_unknown)
		lines.push(_('The options were not compared: %s').format(words.plain(one.options_unknown)));

	if (lines.length === 0)
		return null;

	return live.node('ul', { 'class': 'owsync-plain owsync-remark' }, lines.map(function(line) {
		return live.node('li', {}, live.node('small', {}, line));
	}));
}

function preview(list, nothing) {
	const shares = new Set(list.map(function(one) {
		return one.share;
	}));
	const table = live.table([
		{ title: _('File'), classes: 'owsync-path', make: function(one) {
			return live.node('div', {}, shares.size > 1 ? _('%s: %s').format(one.share, one.path) : one.path, options(one));
		}, update: function() {} },
		{ title: _('Would be'), update: function(cell, one) {
			live.text(cell, what(one));
		} },
		{ title: _('Where'), update: function(cell, one) {
			live.text(cell, where(one));
		} },
		{ title: _('Size'), update: function(cell, one) {
			live.text(cell, one.size === undefined ? '' : amounts.size(one.size));
		} },
		{ title: _('Why'), update: function(cell, one) {
			live.text(cell, words.plain(one.why));
		} }
	], nothing);
	const shown = list.slice(0, SHOWN);
	const more = list.count - shown.length;

	table.update(shown, function(one) {
		return shown.indexOf(one);
	});

	return live.node('div', {},
		live.node('div', { 'class': 'owsync-scroll' }, table.node),
		more > 0 ? live.node('p', {}, N_(more, 'And %d more.', 'And %d more.').format(more)) : null,
		unknown(list));
}

/* The same in little room: what would happen, each with the files that it would happen to. */
function compact(list) {
	const groups = [];

	list.forEach(function(one) {
		const title = one.waits ? _('waiting %s: %s').format(where(one), words.plain(one.why))
			: _('%s %s').format(what(one), where(one));
		const known = groups.find(function(group) {
			return group.title === title;
		});

		if (known)
			known.rows.push(one);
		else
			groups.push({ title: title, rows: [ one ] });
	});

	return live.node('div', {}, groups.map(function(group) {
		const more = group.rows.length - SHOWN;

		return live.node('details', { 'open': groups.length === 1 ? '' : null },
			live.node('summary', {}, N_(group.rows.length, '%d file: %s', '%d files: %s')
				.format(group.rows.length, group.title)),
			live.node('ul', { 'class': 'owsync-plain owsync-scroll owsync-path' },
				group.rows.slice(0, SHOWN).map(function(one) {
					return live.node('li', {}, one.path, options(one));
				}),
				more > 0 ? live.node('li', {}, N_(more, 'And %d more.', 'And %d more.').format(more)) : null));
	}), unknown(list));
}

/* How many of a list would be what, in a sentence. */
function summary(list) {
	const moving = list.filter(function(one) {
		return !one.waits;
	});
	const deleted = moving.filter(function(one) {
		return one.what === 'deleted';
	}).length;
	const other = moving.length - deleted;
	const waiting = list.length - moving.length;

	if (list.length === 0)
		return _('No changes.');

	return [
		deleted > 0 ? N_(deleted, '%d file would be deleted.', '%d files would be deleted.').format(deleted) : '',
		other > 0 ? N_(other, '%d file would be created or changed.', '%d files would be created or changed.')
			.format(other) : '',
		waiting > 0 ? N_(waiting, '%d file waits for something else.', '%d files wait for something else.')
			.format(waiting) : ''
	].filter(function(text) {
		return text !== '';
	}).join(' ');
}

function choices(hold) {
	if (hold.reason === 'emptied' || hold.reason === 'mass_deletion')
		return { approve: _('Delete them everywhere'), reject: _('Restore them'), first: 'reject' };

	return { approve: _('Keep what is here'), reject: _('Take the state of the other routers'), first: null };
}

function side(title, explanation, list) {
	return live.node('div', { 'class': 'owsync-side' },
		live.node('h5', {}, title),
		live.node('p', {}, explanation, ' ', list ? live.node('strong', {}, summary(list)) : null),
		list ? compact(list) : null);
}

/* What a decision does with the paths of one reason. */
const GROUPS = {
	first_contact: [
		{ label: _('Keep this router’s'), method: 'approve', pick: 'mine' },
		{ label: _('Take the other router’s'), method: 'approve', pick: 'theirs' },
		{ label: _('Take the newer of each'), method: 'approve', pick: 'newest' }
	],
	mass_deletion: [
		{ label: _('Keep them'), method: 'reject' },
		{ label: _('Delete them here, too'), method: 'approve', style: 'negative' }
	],
	long_away: [
		{ label: _('Take them'), method: 'approve' },
		{ label: _('Leave them'), method: 'reject' }
	],
	flapping: [ { label: _('Let them continue'), method: 'approve' } ],
	sections_lost: [
		{ label: _('Restore the sections'), method: 'reject' },
		{ label: _('Accept the shorter package'), method: 'approve', style: 'negative' }
	],
	refused: [ { label: _('Apply them all the same'), method: 'approve', style: 'negative' } ],
	uncommitted: [ { label: _('Apply them all the same'), method: 'approve', style: 'negative' } ],
	waits_for: [ { label: _('Apply these without the others'), method: 'approve' } ]
};

function isDecidable(owed) {
	return GROUPS[owed.reason] !== undefined;
}

return baseclass.extend({
	would: would,
	preview: preview,
	isDecidable: isDecidable,

	/* What approving and what rejecting would do; null where the daemon cannot say. */
	foresee: function(share) {
		return Promise.all([ daemon.has('approve', 'dry_run'), daemon.has('reject', 'dry_run') ]).then(function(known) {
			return known[0] && known[1]
				? Promise.all([
					daemon.call('approve', share, null, null, true).then(would),
					daemon.call('reject', share, null, true).then(would)
				]) : [ null, null ];
		});
	},

	/* A share that is held: what either decision would do, then the decision. */
	hold: function(share, hold, done) {
		const choice = choices(hold);

		function decide(method) {
			return daemon.call(method, share).then(function() {
				dialog.close();

				return done();
			});
		}

		return this.foresee(share).then(function(answers) {
			dialog.openWide(_('Decide about %s').format(share),
				live.node('p', {}, _('owsync stopped syncing, because %s.').format(words.hold(share, hold))),
				live.node('p', {}, words.holdAdvice(hold) || ''),
				live.node('div', { 'class': 'owsync-sides' },
					side(choice.reject, _('Takes what the other routers have.'), answers[1]),
					side(choice.approve, _('Makes what is here count everywhere.'), answers[0])),
				live.node('p', {}, _('Replaced and deleted files can be restored from the history.')),
				dialog.buttons(dialog.closing(_('Not now')),
					dialog.button(choice.reject, choice.first === 'reject' ? 'positive' : 'action', function() {
						return decide('reject');
					}),
					dialog.button(choice.approve, choice.first === 'reject' ? 'negative' : 'action', function() {
						return decide('approve');
					})));
		});
	},

	/* Paths of a share that wait: ticked ones are decided together, reason by reason. */
	paths: function(share, owed, done) {
		const reasons = Object.keys(GROUPS).filter(function(reason) {
			return owed.some(function(one) {
				return one.reason === reason;
			});
		});
		const parts = reasons.map(function(reason) {
			const list = owed.filter(function(one) {
				return one.reason === reason;
			});

			return this.group(share, list, reason, done);
		}, this);

		dialog.openWide.apply(dialog, [ _('Decide about files of %s').format(share) ].concat(parts, [
			live.node('p', {}, _('Replaced and deleted files can be restored from the history.')),
			dialog.buttons(dialog.closing(_('Not now')))
		]));
	},

	group: function(share, list, reason, done) {
		const boxes = [];
		/* What is the same for all of them is said once. */
		const messages = Array.from(new Set(list.filter(words.hasDetails).map(function(one) {
			return words.plain(one.message);
		})));
		const rows = list.map(function(one) {
			const box = live.node('input', { 'type': 'checkbox', 'checked': '' });

			boxes.push({ box: box, path: one.path });

			return live.node('li', {},
				live.node('label', {}, box, ' ', live.node('span', { 'class': 'owsync-path' }, one.path),
					one.peer ? ' ' + _('from %s').format(one.peer) : null),
				messages.length > 1 && words.hasDetails(one) && one.message
					? live.node('pre', { 'class': 'owsync-message' }, words.plain(one.message)) : null);
		});

		function act(choice) {
			const ticked = boxes.filter(function(one) {
				return one.box.checked;
			});

			if (ticked.length === 0)
				throw new Error(_('No file is selected.'));

			return ticked.reduce(function(before, one) {
				return before.then(function() {
					return choice.method === 'approve'
						? daemon.call('approve', share, one.path, choice.pick)
						: daemon.call('reject', share, one.path);
				});
			}, Promise.resolve()).then(function() {
				dialog.close();

				return done();
			});
		}

		return live.node('div', { 'class': 'owsync-side' },
			live.node('p', {}, words.path({ reason: reason })),
			messages.length === 1 && messages[0]
				? live.node('pre', { 'class': 'owsync-message' }, messages[0]) : null,
			live.node('ul', { 'class': 'owsync-plain owsync-scroll' }, rows),
			live.node('div', { 'class': 'owsync-buttons' }, GROUPS[reason].map(function(choice) {
				return dialog.button(choice.label, choice.style || 'action', function() {
					return act(choice);
				});
			})));
	}
});
