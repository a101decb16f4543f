'use strict';
'require view';
'require poll';
'require owsync.daemon as daemon';
'require owsync.live as live';
'require owsync.verdict as verdict';
'require owsync.versions as versions';
'require owsync.words as words';
/* global daemon, live, verdict, versions, words */

/*
 * Previous versions of everything that was replaced here, the newest first.
 */

/* As many as are asked for: the daemon gives 1000 at most. */
const LIMIT = 1000;

function look() {
	return daemon.call('history', null, null, LIMIT).then(function(answer) {
		return { versions: L.toArray(answer.versions).reverse() };
	}, function(error) {
		return { error: error, versions: [] };
	});
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: look,

	render: function(found) {
		const self = this;

		this.mayAct = L.hasViewPermission() === true;
		this.versions = [];
		this.trouble = live.node('div', { 'class': 'alert-message warning', 'role': 'status' });
		this.count = live.node('p', { 'role': 'status' });
		this.table = versions.table(this);
		this.text = live.node('input', {
			'class': 'cbi-input-text', 'type': 'text', 'id': 'owsync-path', 'autocomplete': 'off',
			'input': function() {
				self.show();
			}
		});
		this.why = live.node('select', {
			'class': 'cbi-input-select', 'id': 'owsync-why',
			'change': function() {
				self.show();
			}
		}, live.node('option', { 'value': '' }, _('any')), words.whys().map(function(word) {
			return live.node('option', { 'value': word }, words.why(word));
		}));
		this.update(found);
		poll.add(function() {
			return self.refresh();
		}, 5);

		return live.node('div', {},
			live.style(),
			live.node('h2', {}, _('owsync: history')),
			live.node('div', { 'class': 'cbi-map-descr' },
				_('Files of this router that another one replaced or deleted, and versions that lost a conflict. Each can be compared with the present file, and restored.')),
			this.trouble,
			live.node('div', { 'class': 'owsync-filters' },
				live.node('div', {}, live.node('label', { 'for': 'owsync-path' }, _('File')), this.text),
				live.node('div', {}, live.node('label', { 'for': 'owsync-why' }, _('Why it is here')), this.why)),
			this.count,
			this.table.node);
	},

	refresh: function() {
		const self = this;

		return look().then(function(found) {
			self.update(found);
		});
	},

	update: function(found) {
		live.shown(this.trouble, found.error);
		live.text(this.trouble, found.error
			? verdict.ofSilence(found.error, { isEnabled: true }, false).sentence : '');

		/* The last versions stay valid while no daemon responds. */
		if (!found.error)
			this.versions = found.versions;

		this.show();
	},

	show: function() {
		const text = this.text.value;
		const why = this.why.value;
		const passing = this.versions.filter(function(version) {
			return versions.passes(version, text, why);
		});

		live.text(this.count, N_(passing.length, '%d version of %d', '%d versions of %d')
			.format(passing.length, this.versions.length));
		this.table.update(passing, function(version) {
			return version.number;
		});
	}
});
