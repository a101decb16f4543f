'use strict';
'require baseclass';
'require owsync.choosing as choosing';
'require owsync.daemon as daemon';
'require owsync.deciding as deciding';
'require owsync.dialog as dialog';
'require owsync.invitation as invitation';
'require owsync.locals as locals';
'require owsync.service as service';
'require owsync.syncing as syncing';
'require owsync.words as words';
/* global choosing, daemon, deciding, dialog, invitation, locals, service, syncing, words */

/*
 * Everything that a button of the overview does, by the names that verdicts use.
 */
return baseclass.extend({
	/* The actions of a page, which has its last `status` and can `refresh`. */
	of: function(page) {
		function done() {
			return page.refresh();
		}

		return {
			accept: function(waiting) {
				invitation.accept(waiting, done);
			},

			/* The changes of this session of LuCI, and where it has none, those of `uci`. */
			commit: function(share) {
				return daemon.call('commit', share, L.env.sessionid, false).catch(function(error) {
					return daemon.call('commit', share, null, false).catch(function(other) {
						throw error.message === other.message ? error : other;
					});
				}).then(done);
			},

			decide: function(share) {
				deciding.paths(share, words.waiting(page.status.shares[share]), done);
			},

			enable: function() {
				return service.enable().then(done);
			},

			forget: function(name, peer) {
				dialog.confirm(_('Forget %s?').format(name),
					_('It is forgotten on all routers, and connects again only if you accept or invite it. Its files here stay.'),
					_('Forget it'), 'negative', function() {
						return daemon.call('forget_peer', peer.node || name).then(done);
					});
			},

			hold: function(share) {
				return deciding.hold(share, page.status.shares[share].hold, done);
			},

			invite: function() {
				invitation.invite();
			},

			keep: function(share) {
				return daemon.call('confirm', share).then(done);
			},

			locals: function(share) {
				return locals.open(share);
			},

			lost: function(event) {
				return choosing.openLost(event, done);
			},

			pause: function(peer, share) {
				syncing.pause(peer, share, done);
			},

			preview: function(peer, share) {
				return syncing.preview(peer, share, done);
			},

			resume: function(peer, share) {
				return syncing.resume(peer, share, done);
			},

			rollback: function(share) {
				dialog.confirm(_('Roll the change back?'),
					_('Restores the previous files here and on the other routers. The change stays in the history.'),
					_('Roll it back'), 'negative', function() {
						return daemon.call('rollback', share).then(done);
					});
			},

			settings: function() {
				window.location.href = L.url('admin/services/owsync/settings');
			},

			start: function() {
				return service.start().then(done);
			},

			sync: function(peer, share) {
				return syncing.sync(peer, share, done);
			}
		};
	}
});
