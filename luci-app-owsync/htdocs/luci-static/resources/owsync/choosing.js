'use strict';
'require baseclass';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
/* global daemon, dialog, live */

/*
 * Options of a UCI package in which a previous version differs from the present file, each with a button that takes its value.
 */

function name(change) {
	return change.section + '.' + change.option;
}

function shown(change, side) {
	if (change[side + '_local'])
		return _('local');

	const items = L.toArray(change[side]);

	return change[side] === undefined ? _('not set') : items.join(', ');
}

/* What can be restored alone: an option, or a list of which items differ. */
function isOption(change) {
	return change.option !== undefined;
}

/* The rows of an answer to `diff`: what differs in one list is one row, whose restoration restores the list. */
function rows(changes) {
	const seen = {};

	return changes.filter(function(change) {
		const key = isOption(change) ? name(change) : change.text;
		const isFirst = !seen[key] || !isOption(change);

		seen[key] = true;

		return isFirst;
	});
}

return baseclass.extend({
	rows: rows,

	/* The changed options of a version; null where it is no package, or cannot be compared by option. */
	load: function(number) {
		return daemon.has('diff', 'options').then(function(has) {
			return has ? daemon.call('diff', number, null, true) : null;
		}).then(function(answer) {
			return answer && Array.isArray(answer.options) ? answer.options : null;
		}).catch(function() {
			return null;
		});
	},

	/* The table. `number` is the version, `title` what its column is called; `done` is called after a value was taken. */
	table: function(number, title, changes, done) {
		const self = this;
		const lists = {};

		changes.forEach(function(change) {
			if (change.what === 'item_added' || change.what === 'item_removed')
				(lists[name(change)] = lists[name(change)] || []).push(change);
		});

		const side = function(change, which, what) {
			const list = isOption(change) ? lists[name(change)] : null;

			if (!isOption(change))
				return change.what === what ? _('section') : '';

			return list ? list.map(function(one) {
				return one[which] === undefined ? null : shown(one, which);
			}).filter(function(text) {
				return text !== null;
			}).join(', ') : shown(change, which);
		};
		const table = live.table([
			{ title: _('Option'), classes: 'owsync-path', update: function(cell, change) {
				live.text(cell, isOption(change) ? name(change) : change.section);
			} },
			{ title: title, classes: 'owsync-path', update: function(cell, change) {
				live.text(cell, side(change, 'from', 'section_removed'));
			} },
			{ title: _('Now'), classes: 'owsync-path', update: function(cell, change) {
				live.text(cell, change.what === 'moved' ? _('moved') : side(change, 'to', 'section_added'));
			} },
			{ title: _('Actions'), make: function(change) {
				return self.makeButton(number, change, done);
			}, update: function() {} }
		], _('No option differs.'));

		table.update(rows(changes), function(change) {
			return isOption(change) ? name(change) : change.text;
		});

		return live.node('div', { 'class': 'owsync-scroll owsync-tall', 'tabindex': '0', 'role': 'region',
			'aria-label': _('Options') }, table.node);
	},

	makeButton: function(number, change, done) {
		const place = live.node('div', { 'class': 'owsync-buttons' });

		/* A section that is not there any more has no options to be set: the whole version brings it back. */
		if (!isOption(change) || change.from_local || change.to_local)
			return place;

		const button = dialog.button(_('Use this value'), 'positive', function() {
			return daemon.call('restore', number, [ name(change) ]).then(function() {
				live.text(place, _('taken'));
				live.attribute(place, 'role', 'status');

				return done(name(change));
			});
		});

		live.attribute(button, 'aria-label', _('%s: %s').format(button.textContent, name(change)));
		place.appendChild(button);

		return place;
	},

	/* What a merge did not take: the options that `event` names, as far as they still differ. */
	openLost: function(event, done) {
		const self = this;
		const names = L.toArray(event.not_taken);

		return daemon.call('diff', event.number, null, true).then(function(answer) {
			const left = L.toArray(answer.options).filter(function(change) {
				return isOption(change) && names.indexOf(name(change)) >= 0;
			});

			dialog.openWide(_('%s: what the merge did not take').format(event.path),
				live.node('p', {}, _('Two routers changed these options before they saw each other. The values of this router are in the history; each can be put in force on all routers.')),
				left.length === 0 ? live.node('p', {}, _('Nothing of it differs any more.'))
					: self.table(event.number, _('Value of this router'), left, done),
				dialog.buttons(dialog.closing()));
		});
	}
});
