'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.choosing as choosing';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.difference as difference';
'require owsync.live as live';
'require owsync.words as words';
/* global amounts, choosing, daemon, dialog, difference, live, words */

/*
 * Previous versions: listed, compared, restored.
 */

/* Below this width two versions have no room beside each other, in CSS pixels. */
const NARROW = 800;

function isLost(version) {
	return version.why === 'conflict' || version.why === 'first contact';
}

function name(version) {
	return _('%s: %s').format(version.share, version.path);
}

function lines(list) {
	return list.map(function(text) {
		return live.node('li', { 'class': 'owsync-path' }, words.plain(text));
	});
}

/* What a comparison says when there are no lines to be shown. */
function remark(answer) {
	if (answer.binary)
		return _('Binary files differ.');

	if (answer.too_large)
		return _('It is too large to be compared; the two contents differ.');

	return answer.truncated ? _('It is long: only its beginning is shown.') : null;
}

return baseclass.extend({
	/* Whether a version passes the filters: a part of its path, and why it is there. */
	passes: function(version, text, why) {
		const wanted = text.toLowerCase();
		const path = (version.share + ':' + version.path).toLowerCase();

		return (wanted === '' || path.indexOf(wanted) >= 0) && (why === '' || version.why === why);
	},

	/* The table. `page` has `mayAct` and can `refresh`. */
	table: function(page) {
		const columns = [
			{ title: _('When'), update: function(cell, version) {
				live.text(cell, amounts.time(version.time));
			} },
			{ title: _('File'), make: function() {
				return live.node('div', {}, live.node('strong', { 'class': 'owsync-path' }), live.node('br'),
					live.node('small', {}));
			}, update: function(node, version) {
				live.text(node.children[0], version.path);
				live.text(node.children[2], version.share);
			} },
			{ title: _('Why it is here'), make: function() {
				return live.node('span', {});
			}, update: function(label, version) {
				live.attribute(label, 'class', isLost(version) ? 'label warning' : null);
				live.text(label, words.why(version.why));
			} },
			{ title: _('Replaced by'), update: function(cell, version) {
				live.text(cell, version.node);
			} },
			{ title: _('Size'), update: function(cell, version) {
				live.text(cell, version.kind === 'tombstone' || version.why === 'created' ? _('did not exist')
					: amounts.size(version.size));
			} }
		];

		if (page.mayAct)
			columns.push({ title: _('Actions'), classes: 'cbi-section-actions owsync-three',
				make: this.makeActions.bind(this, page), update: this.updateActions });

		return live.table(columns, _('There is no previous version.'));
	},

	makeActions: function(page, version) {
		const self = this;

		/* A version never changes, so its buttons may know it from the start. */
		return live.node('div', { 'class': 'owsync-buttons' },
			dialog.button(_('Compare'), 'action', function() {
				return self.compare(version, page);
			}),
			dialog.button(_('Restore'), 'positive', function() {
				return self.restore(version, page);
			}),
			dialog.button(_('Undo all of it'), 'neutral', function() {
				return self.undo(version, page);
			}));
	},

	updateActions: function(node, version) {
		Array.from(node.children).forEach(function(button) {
			live.attribute(button, 'aria-label', _('%s: %s').format(button.textContent, name(version)));
		});
		live.shown(node.children[1], version.why !== 'created');
	},

	/* Compares a version with the present file at its path: by line, and a UCI package also by option. */
	compare: function(version, page) {
		const self = this;

		return Promise.all([ daemon.call('diff', version.number), choosing.load(version.number) ]).then(function(found) {
			const answer = found[0];
			const options = found[1];
			let isBeside = window.innerWidth >= NARROW;
			let isByOption = false;
			const place = live.node('div', {});
			const said = remark(answer);
			const legend = live.node('p', {});
			const toggle = live.node('button', { 'class': 'btn cbi-button cbi-button-neutral', 'type': 'button',
				'click': function() {
					isBeside = !isBeside;
					show();
				} });
			const kind = live.node('button', { 'class': 'btn cbi-button cbi-button-neutral', 'type': 'button',
				'click': function() {
					isByOption = !isByOption;
					show();
				} });

			function show() {
				live.text(place, '');

				if (isByOption)
					place.appendChild(choosing.table(version.number, _('In this version'), options, function() {
						return page.refresh();
					}));
				else
					place.appendChild(answer.diff ? difference.render(answer.diff, isBeside)
						: live.node('p', {}, _('This version is the current one.')));

				live.text(legend, isByOption
					? _('Each value of this version can be taken alone, on all routers. Everything else stays as it is.')
					: _('Red lines are in this version, green ones in the present file.'));
				live.shown(toggle, !isByOption);
				live.text(toggle, isBeside ? _('Show one below the other') : _('Show side by side'));
				live.text(kind, isByOption ? _('Show lines') : _('Show options'));
			}

			show();
			dialog.openWide(_('%s, version before %s').format(name(version), amounts.time(version.time)),
				legend,
				said ? live.node('p', {}, said) : null,
				place,
				dialog.buttons(answer.diff && options ? kind : null, answer.diff ? toggle : null, dialog.closing(),
					options && isLost(version) ? dialog.button(_('Merge'), 'action', function() {
						return self.merge(version, page);
					}) : null,
					version.why === 'created' ? null : dialog.button(_('Restore this version'), 'positive', function() {
						return self.restore(version, page);
					})));
		});
	},

	/* Merges a version that was not merged when it was replaced. */
	merge: function(version, page) {
		return daemon.call('merge', version.number, true).then(function(answer) {
			const lost = L.toArray(answer.lost);

			dialog.openWide(_('Merge %s?').format(name(version)),
				live.node('p', {}, _('What this version changed is put into the present file, on all routers. Where both changed an option, the present value stays.')),
				answer.diff ? difference.render(answer.diff, window.innerWidth >= NARROW)
					: live.node('p', {}, _('Nothing would change.')),
				lost.length === 0 ? null : live.node('div', {}, live.node('p', {}, _('These changes would not be taken:')),
					live.node('ul', { 'class': 'owsync-plain' }, lines(lost))),
				dialog.buttons(dialog.closing(_('Cancel')), !answer.diff ? null : dialog.button(_('Merge it'), 'positive', function() {
					return daemon.call('merge', version.number).then(function() {
						dialog.close();
						dialog.tell(_('%s was merged.').format(version.path));

						return page.refresh();
					});
				})));
		});
	},

	restore: function(version, page) {
		dialog.confirm(_('Restore %s?').format(version.path),
			_('Restores the version from before %s on all routers. The present version is kept in the history.')
				.format(amounts.time(version.time)),
			_('Restore it'), 'positive', function() {
				return daemon.call('restore', version.number).then(function() {
					dialog.tell(_('%s was restored.').format(version.path));

					return page.refresh();
				});
			});
	},

	/* Everything that came together with what replaced a version. */
	undo: function(version, page) {
		const others = page.versions.filter(function(one) {
			return one.run === version.run;
		});

		dialog.open(_('Undo what came from %s at %s?').format(version.node, amounts.time(version.time)),
			live.node('p', {}, _('These files were changed together. Their previous versions are restored on all routers, except where a file changed since.')),
			live.node('ul', { 'class': 'owsync-scroll' }, others.map(function(one) {
				return live.node('li', { 'class': 'owsync-path' }, name(one));
			})),
			dialog.buttons(dialog.closing(_('Cancel')), dialog.button(_('Undo all of it'), 'negative', function() {
				return daemon.call('undo', version.run).then(function(answer) {
					const left = L.toArray(answer.unchanged);

					dialog.close();
					dialog.tell(left.length === 0 ? _('It was undone.')
						: _('It was undone, except for files that changed since: %s.').format(left.join(', ')));

					return page.refresh();
				});
			})));
	}
});
