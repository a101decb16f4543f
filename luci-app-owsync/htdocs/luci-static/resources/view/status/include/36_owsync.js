'use strict';
'require baseclass';
'require owsync.daemon as daemon';
'require owsync.live as live';
'require owsync.verdict as verdict';
/* global daemon, live, verdict */

/*
 * The card on Status, Overview: the sentence of owsync's own page, and the way there.
 */

const LABELS = {
	danger: [ _('needs you'), 'label important owsync-bad' ],
	notice: [ _('under way'), 'label notice' ],
	success: [ _('in sync'), 'label success' ],
	warning: [ _('not in sync'), 'label warning' ]
};

return baseclass.extend({
	title: _('owsync'),

	/* Null where owsync was never used or is off: then there is no card. */
	load: function() {
		return daemon.call('status').catch(function(error) {
			return error.isAway ? null : { failure: error };
		});
	},

	render: function(status) {
		if (!status)
			return null;

		const found = status.failure ? verdict.ofSilence(status.failure, {}, false)
			: verdict.isNew(status) ? { tone: 'notice', sentence: _('It is not set up yet.') } : verdict.of(status);
		const label = LABELS[found.tone] || LABELS.notice;

		return live.node('div', { 'class': 'owsync-card' },
			live.style(),
			live.node('span', { 'class': label[1] }, label[0]), ' ',
			live.node('span', {}, found.sentence), ' ',
			live.node('a', { 'href': L.url('admin/services/owsync') }, _('Open owsync')));
	}
});
