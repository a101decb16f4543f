'use strict';
'require baseclass';
'require uci';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.service as service';
/* global daemon, dialog, live, service */

/*
 * Options of a share's packages, and which of them belong to this router only.
 *
 * A tick adds or removes a pattern in the option `local` of the share, as under Settings. What was local once stays so on
 * all routers until one of them gives its value to the others.
 */

/* The daemon refuses more patterns, and longer ones. */
const PATTERNS = 64;
const LENGTH = 128;

/* How long the daemon is waited for after the patterns were changed, and how often it is asked, in milliseconds. */
const PATIENCE = 10000;
const EVERY = 300;

/* The section of the package owsync that describes a share. */
function sectionOf(share) {
	return share === 'main' ? service.section() : share;
}

/* The patterns that make something local after these rows were ticked or not. */
function patterns(before, rows) {
	const list = before.slice();
	const without = function(pattern) {
		const at = list.lastIndexOf(pattern);

		if (at >= 0)
			list.splice(at, 1);

		return at >= 0;
	};

	rows.forEach(function(one) {
		const exact = one.row.exact;

		if (one.isLocal) {
			/* What took it out of a pattern that covers more is enough to go, where there is such a pattern. */
			without('!' + exact);
			list.push(exact);
		}
		else if (!without(exact) || one.row.pattern !== exact) {
			list.push('!' + exact);
		}
	});

	return list;
}

function check(list) {
	const long = list.find(function(pattern) {
		return pattern.length > LENGTH;
	});

	if (long !== undefined)
		throw new Error(_('This pattern is too long, give the section a shorter name: %s').format(long));

	if (list.length > PATTERNS)
		throw new Error(_('A share has at most %d patterns. One with “*” covers several options: write it under Settings.').format(PATTERNS));
}

function why(row) {
	if (row.message)
		return row.message;

	if (row.shared)
		return '';

	return row.pattern ? _('pattern %s').format(row.pattern) : _('on every router');
}

function value(row) {
	if (row.missing)
		return _('none here');

	return row.value === undefined ? '' : row.value;
}

function load(share) {
	return daemon.call('local', null, null, null, true).then(function(answer) {
		return L.toArray(answer.local).filter(function(row) {
			return row.share === share;
		});
	});
}

return baseclass.extend({
	patterns: patterns,

	/* Opens the dialog of a share. */
	open: function(share) {
		const self = this;

		return Promise.all([ daemon.has('local', 'all'), uci.load('owsync') ]).then(function(found) {
			if (!found[0])
				throw new Error(_('This version of owsync cannot do that.'));

			return load(share);
		}).then(function(rows) {
			self.show(share, rows);
		});
	},

	show: function(share, rows) {
		const self = this;
		const boxes = {};
		const paths = rows.map(function(row) {
			return row.path;
		}).filter(function(path, at, all) {
			return all.indexOf(path) === at;
		});
		const select = live.node('select', { 'class': 'cbi-input-select', 'id': 'owsync-package',
			'change': function() {
				list();
			} }, paths.map(function(path) {
			return live.node('option', { 'value': path }, path);
		}));
		const table = live.table([
			{ title: _('Only on this router'), make: function(row) {
				return self.box(row, boxes);
			}, update: function() {} },
			{ title: _('Option'), classes: 'owsync-path', update: function(cell, row) {
				live.text(cell, row.option.slice(row.path.length + 1));
			} },
			{ title: _('Value here'), classes: 'owsync-path', update: function(cell, row) {
				live.text(cell, value(row));
			} },
			{ title: _('Why'), make: function(row) {
				return live.node('div', {}, live.node('span', {}, why(row)), ' ', self.giving(row));
			}, update: function() {} }
		], _('There is no option.'));

		function list() {
			table.update(rows.filter(function(row) {
				return row.path === select.value;
			}), function(row) {
				return row.option;
			});
		}

		list();
		dialog.openWide(_('Options of %s that belong to this router').format(share),
			live.node('p', {}, _('The value of such an option is never sent to another router, and never replaced by one. Everything else of the package is synced.')),
			paths.length === 0 ? live.node('p', {}, _('No UCI package of this share is synced.'))
				: live.node('div', { 'class': 'owsync-filters' }, live.node('div', {},
					live.node('label', { 'for': 'owsync-package' }, _('Package')), select)),
			live.node('div', { 'class': 'owsync-scroll owsync-tall', 'tabindex': '0', 'role': 'region',
				'aria-label': _('Options') }, table.node),
			dialog.buttons(dialog.closing(_('Cancel')), dialog.button(_('Save'), 'apply', function() {
				return self.save(share, rows, boxes);
			})));
	},

	/* The tick of an option. What no pattern means alone cannot be ticked, nor what is local because of another router. */
	box: function(row, boxes) {
		const box = live.node('input', { 'type': 'checkbox', 'aria-label': row.option });
		const isLocal = !row.shared && !row.message;

		box.checked = boxes[row.option] ? boxes[row.option].checked : isLocal;
		box.disabled = !row.exact || (isLocal && !row.pattern);

		if (!row.exact && row.shared)
			live.attribute(box, 'title', _('Its section has no name of its own: give it one, or an option “name”.'));
		else if (box.disabled)
			live.attribute(box, 'title', isLocal && row.pattern ? _('The pattern can be changed under Settings.')
				: _('It is local on all routers.'));

		boxes[row.option] = box;

		return box;
	},

	/* What ends that an option is local. */
	giving: function(row) {
		const self = this;

		if (row.shared || row.message || row.pattern || row.missing || !row.exact)
			return null;

		const button = dialog.button(_('Give this value to all'), 'neutral', function() {
			return self.give(row);
		});

		live.attribute(button, 'aria-label', _('%s: %s').format(button.textContent, row.option));

		return button;
	},

	give: function(row) {
		return daemon.call('local', null, row.exact, null, null).then(function(answer) {
			const lines = L.toArray(answer.would_share).map(function(one) {
				return live.node('li', { 'class': 'owsync-path' }, _('%s = %s').format(one.option, one.value || _('nothing')));
			});

			dialog.open(_('Give this value to all routers?'),
				live.node('p', {}, _('It replaces the values of all other routers, where it is kept in the history, and the option is synced again from then on. Patterns of other routers must be removed there first.')),
				live.node('ul', { 'class': 'owsync-scroll' }, lines),
				dialog.buttons(dialog.closing(_('Cancel')), dialog.button(_('Give it to all'), 'negative', function() {
					return daemon.call('local', null, row.exact, true, null).then(function() {
						dialog.close();
						dialog.tell(_('%s is synced from now on.').format(row.option));
					});
				})));
		});
	},

	/* Writes the patterns, and waits until the daemon has them. */
	save: function(share, rows, boxes) {
		const changed = rows.filter(function(row) {
			const box = boxes[row.option];

			return box && !box.disabled && box.checked === (row.shared === true);
		}).map(function(row) {
			return { row: row, isLocal: boxes[row.option].checked };
		});

		if (changed.length === 0) {
			dialog.close();

			return null;
		}

		const self = this;
		const section = sectionOf(share);
		const list = patterns(L.toArray(uci.get('owsync', section, 'local')), changed);

		check(list);

		return service.change({ local: list }, section).then(function() {
			return daemon.call('reload');
		}).then(function() {
			return self.inForce(share, changed);
		}).then(function(isInForce) {
			const left = changed.filter(function(one) {
				return !one.isLocal;
			});

			dialog.close();

			if (!isInForce)
				throw new Error(_('The patterns were saved, and are not in force yet: the overview says why.'));

			dialog.tell(left.length === 0 ? _('The options keep their own values on every router from now on.')
				: _('No pattern of this router covers these options any more. They stay local on all routers until one gives its value to all.'));
		});
	},

	/* Whether the daemon has the patterns, as soon as it has. */
	inForce: function(share, changed) {
		const end = Date.now() + PATIENCE;
		const isDone = function(rows) {
			return changed.every(function(one) {
				return rows.some(function(row) {
					return row.option === one.row.option && (row.pattern !== undefined) === one.isLocal;
				});
			});
		};

		function ask() {
			return load(share).then(function(rows) {
				if (isDone(rows) || Date.now() >= end)
					return isDone(rows);

				return new Promise(function(resolve) {
					window.setTimeout(resolve, EVERY);
				}).then(ask);
			});
		}

		return ask();
	}
});
