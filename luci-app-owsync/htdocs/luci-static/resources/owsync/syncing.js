'use strict';
'require baseclass';
'require owsync.daemon as daemon';
'require owsync.deciding as deciding';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.service as service';
'require owsync.words as words';
/* global daemon, deciding, dialog, live, service, words */

/*
 * Sync now with its progress and result, what it would do, pause and resume.
 */

/* The daemon's own limit for an exchange that is waited for, and how soon it may be over, in milliseconds. */
const PATIENCE = 30000;
const SETTLED = 1500;

const DURATIONS = [
	[ 0, _('until it is resumed') ],
	[ 900, _('for 15 minutes') ],
	[ 3600, _('for an hour') ],
	[ 14400, _('for 4 hours') ],
	[ 86400, _('for a day') ]
];

function concerned(status, peer) {
	return Object.keys(status.peers || {}).filter(function(name) {
		return !peer || name === peer;
	});
}

function isMoving(status, peer, share) {
	const isPeerMoving = concerned(status, peer).some(function(name) {
		return status.peers[name].state === 'syncing' || status.peers[name].state === 'connecting';
	});
	const isShareMoving = Object.keys(status.shares || {}).some(function(name) {
		return (!share || name === share)
			&& (status.shares[name].state === 'scanning' || status.shares[name].state === 'applying');
	});

	return isPeerMoving || isShareMoving;
}

function makeRow() {
	return live.node('li', {}, live.node('span', { 'class': 'label' }), ' ', live.node('strong', {}), ' ',
		live.node('span', {}));
}

function updateRow(node, name, peer) {
	const state = words.state(peer.state);

	live.attribute(node.children[0], 'class', state[1]);
	live.text(node.children[0], state[0]);
	live.text(node.children[1], name);
	live.text(node.children[2], peer.in_sync === false ? words.peer(name, peer) : '');
}

function moved(before, after) {
	const applied = (after.applied || 0) - (before.applied || 0);
	const edited = (after.edited || 0) - (before.edited || 0);

	if (applied + edited === 0)
		return _('Nothing had changed.');

	return N_(applied, '%d file was received, %d had changed here.', '%d files were received, %d had changed here.')
		.format(applied, edited);
}

return baseclass.extend({
	/* Scans everything and exchanges it, with one peer, in one share, or altogether. */
	sync: function(peer, share, done) {
		const list = live.node('ul', { 'class': 'owsync-plain' });
		const line = live.node('p', { 'class': 'spinning', 'role': 'status' }, _('Scanning the files and exchanging what changed …'));

		dialog.open(share ? _('Sync %s now').format(share) : peer ? _('Sync with %s now').format(peer) : _('Sync now'),
			line, list, dialog.buttons(dialog.closing()));

		return daemon.call('status').then(function(before) {
			return daemon.call('sync', peer, share).then(function() {
				const begun = Date.now();

				return service.until(function(status) {
					live.list(list, concerned(status, peer), String, makeRow, function(node, name) {
						updateRow(node, name, status.peers[name]);
					});

					return Date.now() - begun >= SETTLED && !isMoving(status, peer, share);
				}, PATIENCE);
			}).then(function(after) {
				const lacking = concerned(after, peer).filter(function(name) {
					return after.peers[name].in_sync === false && after.peers[name].state !== 'disabled';
				});

				line.classList.remove('spinning');
				live.text(line, [
					concerned(after, peer).length === 0 ? _('There is no other router to exchange with.')
						: isMoving(after, peer, share) ? _('It is still under way, and continues automatically.')
							: lacking.length === 0 ? _('Done: everything is in sync.')
								: _('Done, but not everything is in sync.'),
					moved(before.counters || {}, after.counters || {})
				].join(' '));

				return done();
			});
		}).catch(function(error) {
			line.classList.remove('spinning');
			live.text(line, _('It did not start.'));
			dialog.fail(error);
		});
	},

	/* What that would do. */
	preview: function(peer, share, done) {
		const self = this;

		return daemon.call('sync', peer, share, true).then(function(answer) {
			dialog.openWide(_('Preview of Sync now'),
				deciding.preview(deciding.would(answer), _('Nothing: everything is exchanged.')),
				dialog.buttons(dialog.closing(), dialog.button(_('Sync now'), 'action', function() {
					return self.sync(peer, share, done);
				})));
		});
	},

	/* Stops the exchange, with a reason that is shown everywhere. */
	pause: function(peer, share, done) {
		const reason = live.node('input', {
			'class': 'cbi-input-text', 'type': 'text', 'id': 'owsync-reason', 'maxlength': 100,
			'placeholder': _('for example: moving to another provider')
		});
		const time = live.node('select', { 'class': 'cbi-input-select', 'id': 'owsync-time' }, DURATIONS.map(function(one) {
			return live.node('option', { 'value': one[0] }, one[1]);
		}));

		dialog.open(peer || share ? _('Pause %s').format(peer || share) : _('Pause syncing'),
			live.node('p', {}, _('Nothing is sent or received while it is paused; what changes meanwhile is exchanged afterwards. A pause survives a restart.')),
			live.node('div', { 'class': 'cbi-value' },
				live.node('label', { 'class': 'cbi-value-title', 'for': 'owsync-time' }, _('How long')),
				live.node('div', { 'class': 'cbi-value-field' }, time)),
			live.node('div', { 'class': 'cbi-value' },
				live.node('label', { 'class': 'cbi-value-title', 'for': 'owsync-reason' }, _('Reason')),
				live.node('div', { 'class': 'cbi-value-field' }, reason)),
			dialog.buttons(dialog.closing(_('Cancel')), dialog.button(_('Pause'), 'action', function() {
				return daemon.call('pause', peer, share, reason.value || null, Number(time.value) || null)
					.then(function() {
						dialog.close();

						return done();
					});
			})));
	},

	resume: function(peer, share, done) {
		return daemon.call('resume', peer, share).then(done);
	}
});
