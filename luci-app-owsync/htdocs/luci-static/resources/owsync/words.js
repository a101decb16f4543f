'use strict';
'require baseclass';

/*
 * The daemon's reasons in the words of a router's owner: what they mean, and what to do.
 *
 * The daemon's codes never change, its messages speak of commands. A code that is not known here is shown by the
 * daemon's own message.
 */

/* Peers whose state says all there is to say. `%s` is the name. */
const BY_STATE = {
	'forgotten': [
		_('%s was forgotten by a user, so it is not connected.'),
		_('Remove it from the peers in the settings, or invite it again.')
	],
	'relayed': [
		_('%s is not connected directly: its changes pass through the router that introduced it.'),
		_('Nothing, unless you want a direct connection: then open its port in the firewall there.')
	],
	'this node': [ _('This is the address of this router itself, which needs no connection.'), null ]
};

/* Why a peer is not in sync. `%s` is its name. */
const PEER = {
	unreachable: [
		_('%s cannot be reached.'),
		_('Check that it is switched on, that owsync runs there, and that its firewall accepts this router. It is retried automatically.')
	],
	unresolved: [
		_('The name under which %s is to be reached is not known to the name service.'),
		_('Write its IP address into the settings, or fix the name service.')
	],
	away: [
		_('%s connects to this router on its own, and is not connected now.'),
		_('Check why it is down. If it is gone for good, forget it.')
	],
	wrong_key: [
		_('%s has a different key than this router.'),
		_('Compare the key fingerprints on both overview pages. A router joins with the text that this one shows under Invite.')
	],
	wrong_mode: [
		_('One of this router and %s encrypts, the other does not.'),
		_('Set “Without encryption” alike on both, under Settings, Advanced.')
	],
	clock_skew: [
		_('The clocks of this router and %s differ too much.'),
		_('Set the time on both, under System, System. Syncing resumes automatically then.')
	],
	version: [
		_('%s speaks a different version of the protocol.'),
		_('Update owsync on the older of the two.')
	],
	predecessor: [
		_('%s runs owsync 1.x, which speaks a different protocol.'),
		_('Update owsync there.')
	],
	not_accepted_there: [
		_('%s does not know this router yet.'),
		_('Open Services, owsync there, and accept this router.')
	],
	not_accepted: [
		_('%s asks to be accepted.'),
		_('Accept it if it is yours: it will be able to change the synced files of this router.')
	],
	identity_changed: [
		_('%s shows a different identity than before.'),
		_('If it was reset or reinstalled, accept it again where it is refused. If not, someone else may have the key.')
	],
	same_identity: [
		_('%s is a copy of this router: both show the same identity.'),
		_('One of the two needs an identity of its own.')
	],
	two_machines: [
		_('Two machines show the identity of %s.'),
		_('One of them is a copy and needs an identity of its own.')
	],
	silent: [
		_('%s has not answered for a while.'),
		_('The network or owsync there may be down. It is retried automatically.')
	],
	no_answer: [
		_('The connection to %s was lost, and it does not answer any more.'),
		_('Check its power and the cable. It is retried automatically.')
	],
	this_node: [ _('The address of %s is an address of this router itself.'), _('Remove it from the peers.') ],
	duplicate: [ _('Another connection to %s is in use.'), null ],
	closed: [ _('%s closed the connection.'), _('It is retried automatically.') ],
	leaving: [ _('owsync on %s is stopping or restarting.'), _('Wait a moment.') ],
	protocol: [ _('%s and this router do not understand each other.'), _('Update owsync on the older of the two.') ],
	too_many_sessions: [ _('There are too many connections for %s.'), _('See which machines try to connect.') ],
	disabled: [ _('The connection with %s is disabled.'), _('Enable it in the settings, here or there.') ],
	not_configured: [
		_('%s was refused: without encryption only the addresses of known peers may connect.'),
		_('Add it to the peers.')
	],
	connecting: [ _('%s is being connected.'), null ],
	exchanging: [ _('This router and %s compare what they have.'), null ],
	scanning: [ _('The files of this router are being scanned.'), null ],
	applying: [ _('A change is being applied on this router.'), null ],
	sending: [ _('Changes are on their way to %s.'), null ],
	receiving: [ _('Changes are on their way here from %s.'), null ],
	full: [
		_('So many changes of %s are pending here that no more are received.'),
		_('Resolve some of them: the share below lists them, with reasons.')
	],
	full_there: [
		_('So many changes are pending on %s that it receives no more.'),
		_('Resolve some of them there.')
	],
	late: [ _('%s has not answered a change yet.'), _('It is slow or hangs: check it if this lasts.') ],
	paused: [ _('The exchange with %s is paused.'), _('Resume it when you are done.') ],
	paused_there: [ _('Syncing is paused on %s.'), _('It continues when it is resumed there.') ],
	unreleased: [ _('Changes made here wait for Sync now before they go to %s.'), _('This share is synced by hand.') ],
	unreleased_there: [ _('Changes made on %s wait there.'), _('They are sent when a user presses Sync now there.') ],
	stopped: [ _('An exchange with %s took longer than the settings allow, and was stopped.'), _('It resumes automatically.') ],
	held: [ _('A share waits for your decision before syncing with %s continues.'), _('See the share below, and decide.') ],
	held_there: [ _('A share waits for a decision on %s.'), _('Open Services, owsync there, and decide.') ],
	first_sync: [ _('The first sync was applied; %s must still respond.'), null ],
	unconfirmed: [ _('A change awaits confirmation here before syncing with %s continues.'), null ],
	unconfirmed_there: [ _('%s has the change, awaiting confirmation there.'), null ],
	pending: [ _('Something from %s could not be applied here.'), _('The share below shows what, and why.') ],
	pending_there: [ _('Something could not be applied on %s.'), _('Its overview page shows what, and why.') ],
	unreadable: [ _('A file here cannot be read, so %s may have another version.'), _('Give owsync the right to read it, or exclude it.') ],
	no_common_share: [
		_('This router and %s have no share in common.'),
		_('Shares are common by their names: give the share the same name on both.')
	],
	blocked: [
		_('The storage of this router refuses a change from %s.'),
		_('Make room there, or check why it is read-only. It is retried automatically.')
	],
	no_include: [ _('Nothing is chosen to be synced with %s.'), _('Choose files or packages under Settings, Shares.') ],
	no_include_there: [ _('Nothing is chosen to be synced on %s.'), _('Choose files or packages there.') ],
	database: [ _('The database of owsync cannot be written.'), _('Make room on its storage, or check why it is read-only.') ]
};

/* Why a share waits for the user. */
const HOLD = {
	root_missing: [
		_('the directory of %s cannot be opened'),
		_('It resumes automatically when the directory is there again.')
	],
	not_mounted: [
		_('the storage of %s is not mounted'),
		_('It resumes automatically when it is mounted. Nothing was deleted anywhere.')
	],
	interrupted: [
		_('a change of %s was interrupted and could not be completed'),
		_('It is retried automatically. Make room on its storage, or check why it cannot be written.')
	],
	emptied: [
		_('every file of %s is gone'),
		_('Nothing was deleted elsewhere yet. Restore the files, or delete them everywhere.')
	],
	replaced: [
		_('nearly every file of %s was changed while owsync was not running'),
		_('Keep what is here as the new state, or take the state of the other routers.')
	],
	set_back: [
		_('%s does not match its database, which was restored or copied'),
		_('Keep what is here as the new state, or take the state of the other routers.')
	],
	mass_deletion: [
		_('many files of %s were deleted at once'),
		_('Nothing was deleted elsewhere yet. Restore the files, or delete them everywhere.')
	]
};

/* Why a path is not synced or not applied. */
const PATH = {
	busy: _('Locked by another program; it is retried automatically.'),
	deletion: _('It was deleted on another router and is kept here, because of the setting for deletions.'),
	dir_not_empty: _('The directory to be deleted contains files that are not synced.'),
	direction: _('It was changed here and is not sent, because this share only receives.'),
	first_contact: _('Both routers have it, and they differ: choose which one counts.'),
	filter: _('The file patterns of one of the routers leave it out.'),
	flapping: _('It changes back and forth: two programs undo each other’s change.'),
	history_full: _('The replaced content must be kept for a day, and there is no room for it.'),
	in_the_way: _('Something that is not synced is at this path.'),
	kept_dir: _('The directory was deleted, but kept because it contains files that are not synced.'),
	keeps_deleted: _('Not deleted: the settings of this router do not take over deletions.'),
	long_away: _('The file comes from a router that was away for so long that it may have been deleted meanwhile.'),
	manual: _('It waits until you press Sync now: this share is synced by hand.'),
	mass_deletion: _('It is one of many files that a peer deletes at once.'),
	no_room: _('There is not enough free space.'),
	not_supplied: _('The peer could not send it.'),
	only_observes: _('This share, or this peer, only compares.'),
	only_sends: _('This share, or this peer, only sends.'),
	other_filesystem: _('Another filesystem is mounted there.'),
	refused: _('The check of this share refused it.'),
	release_differs: _('The other router runs a different release of OpenWrt: it waits until both run the same release.'),
	share_held: _('The share waits for a decision.'),
	sections_lost: _('This UCI package lost most of its sections at once.'),
	special: _('It is not a regular file.'),
	symlink: _('It is a symlink.'),
	symlink_ignored: _('Symlinks are not synced in this share.'),
	symlink_outside: _('It is a symlink that leads out of the share.'),
	too_large: _('It is larger than this share allows.'),
	uncommitted: _('Uncommitted changes refer to its sections by number, and it would change these numbers. Apply or revert them first.'),
	unconfirmed: _('A change made here in LuCI is not confirmed yet.'),
	unknown_owner: _('Its owner does not exist on this router.'),
	unreadable: _('It cannot be read.'),
	unwritable: _('It cannot be written.'),
	waits_for: _('It was changed together with another file, which could not be applied.')
};

/* Why a share is not in sync, whichever the peer. `%s` is its name. */
const SHARE = {
	blocked: [
		_('The storage refuses a change of %s.'),
		_('Make room there, or check why it is read-only. It is retried automatically.')
	],
	no_common_share: [
		_('No connected router has the share %s.'),
		_('Shares are common by their names: give the share the same name on the other router.')
	],
	no_include: [ _('No file is chosen in %s, so nothing is synced in it.'), _('Choose files or packages under Settings, Shares.') ]
};

/* Why nothing is in sync with anybody. */
const NODE = {
	no_peer: [
		_('No other router is connected, and none is expected.'),
		_('Invite one, or enable a peer in the settings.')
	],
	no_share: [ _('Nothing is chosen to be synced.'), _('Choose files or packages under Settings, Shares.') ]
};

/* What the routers do about it at this moment. */
const MOVING = [ 'applying', 'connecting', 'exchanging', 'receiving', 'scanning', 'sending' ];

/* States of shares, peers and steps: what the label says, and its colour: not every theme has a red one. */
const BAD = 'important owsync-bad';

const STATE = {
	'in sync': [ _('in sync'), 'success' ],
	'syncing': [ _('syncing'), 'notice' ],
	'not in sync': [ _('not in sync'), 'warning' ],
	'not connected': [ _('not connected'), BAD ],
	'connecting': [ _('connecting'), 'notice' ],
	'away': [ _('away'), 'warning' ],
	'forgotten': [ _('forgotten'), '' ],
	'relayed': [ _('relayed'), 'notice' ],
	'this node': [ _('this router'), '' ],
	'turned away': [ _('refused'), 'warning' ],
	'disabled': [ _('disabled'), '' ],
	'paused': [ _('paused'), 'warning' ],
	'stopped': [ _('stopped'), BAD ],
	'blocked': [ _('blocked'), BAD ],
	'held': [ _('waits for you'), BAD ],
	'unconfirmed': [ _('to be confirmed'), 'warning' ],
	'waits': [ _('something waits'), 'warning' ],
	'scanning': [ _('scanning'), 'notice' ],
	'applying': [ _('receiving'), 'notice' ],
	'idle': [ _('ready'), 'success' ],
	'waiting': [ _('waiting to be accepted'), 'warning' ],
	'done': [ _('done'), 'success' ],
	'failed': [ _('failed'), BAD ]
};

/* Why a previous version is in the history. */
const WHY = {
	'conflict': _('lost a conflict'),
	'created': _('created'),
	'deleted': _('deleted'),
	'first contact': _('lost at the first contact'),
	'given up': _('given up'),
	'local': _('this router’s own values'),
	'rejected': _('rejected'),
	'replaced': _('replaced'),
	'edited': _('edited'),
	'merged': _('merged'),
	'rolled back': _('rolled back'),
	'unconfirmed': _('replaced, not confirmed yet')
};

/* The parts of a message, each with what stands before it. */
function clauses(text) {
	const parts = [ '' ];

	for (let at = 0; at < text.length; at++) {
		if ((text[at] === ':' || text[at] === ';') && text[at + 1] === ' ')
			parts.push('');

		parts[parts.length - 1] += text[at];
	}

	return parts;
}

return baseclass.extend({
	/* A message of the daemon without the parts that tell what to type on a command line. */
	plain: function(message) {
		return clauses(String(message || '')).filter(function(clause) {
			return clause.indexOf('`') < 0;
		}).join('');
	},

	/* What keeps a peer from being in sync, as a sentence. */
	peer: function(name, peer) {
		const known = BY_STATE[peer.state] || PEER[peer.reason];

		return known ? known[0].format(name) : (this.plain(peer.message) || _('%s is not in sync.').format(name));
	},

	/* What to do about it, if anything. */
	peerAdvice: function(peer) {
		const known = BY_STATE[peer.state] || PEER[peer.reason];

		return known ? known[1] : null;
	},

	/* Why a share, or everything, is not in sync where this concerns no peer: a sentence and advice, by the daemon's reason. */
	gap: function(one) {
		const known = one.share ? SHARE[one.reason] : NODE[one.reason];

		return known ? [ known[0].format(one.share), known[1] ] : [ this.plain(one.message), null ];
	},

	/* Whether a router that is waiting was turned away for lack of room, so that there is nothing to accept. */
	isTurnedAway: function(waiting) {
		return waiting.reason === 'too_many_sessions';
	},

	/* Whether a reason resolves automatically at this moment. */
	isMoving: function(one) {
		return MOVING.indexOf(one.reason) >= 0;
	},

	/* How many files differ by choice, as a part of a sentence. */
	leftOut: function(code, count) {
		switch (code) {
		case 'filter':
			return N_(count, '%d by the file patterns', '%d by the file patterns').format(count);
		case 'too_large':
			return N_(count, '%d that is too large', '%d that are too large').format(count);
		case 'symlink':
			return N_(count, '%d symlink', '%d symlinks').format(count);
		case 'special':
			return N_(count, '%d special file', '%d special files').format(count);
		case 'other_filesystem':
			return N_(count, '%d on another filesystem', '%d on another filesystem').format(count);
		case 'deletion':
			return N_(count, '%d by the setting for deletions', '%d by the setting for deletions').format(count);
		case 'direction':
			return N_(count, '%d by the direction', '%d by the direction').format(count);
		case 'kept_dir':
			return N_(count, '%d directory that contains files that are not synced',
				'%d directories that contain files that are not synced').format(count);
		case 'unknown_owner':
			return N_(count, '%d whose owner does not exist on one of the routers',
				'%d whose owner does not exist on one of the routers').format(count);
		default:
			return _('%d for another reason (%s)').format(count, code);
		}
	},

	/* Whether the daemon's message for a peer says something that the sentence does not, such as the system's error. */
	saysMore: function(peer) {
		return [ 'unreachable', 'unresolved', 'clock_skew', 'version', 'protocol', 'ended_here', 'other', 'pending',
			'pending_there', 'unreadable', 'no_common_share', 'held_there', 'database', 'blocked', 'paused_there' ].indexOf(peer.reason) >= 0;
	},

	/* Why a share is held, as a part of a sentence. */
	hold: function(name, hold) {
		const known = HOLD[hold.reason];

		return known ? known[0].format(name) : this.plain(hold.message);
	},

	holdAdvice: function(hold) {
		const known = HOLD[hold.reason];

		return known ? known[1] : null;
	},

	/* Whether approve or reject ends a hold: not as long as its directory is missing. */
	isDecision: function(hold) {
		return hold.needs_user === true;
	},

	/* Why a path was not synced or not applied. */
	path: function(one) {
		return PATH[one.reason] || this.plain(one.message) || one.reason || '';
	},

	/* Whether the daemon's message says more than the sentence for its code. */
	hasDetails: function(one) {
		return [ 'no_room', 'refused', 'too_large', 'unreadable', 'unwritable', 'waits_for', 'in_the_way',
			'unknown_owner', 'not_supplied', 'mass_deletion', 'release_differs', 'sections_lost', 'uncommitted' ].indexOf(one.reason) >= 0;
	},

	isKnownState: function(word) {
		return STATE[word] !== undefined;
	},

	/* The word for a state, and the classes of its label. */
	state: function(word) {
		const known = STATE[word] || [ String(word || _('unknown')), '' ];

		return [ known[0], 'label ' + known[1] ];
	},

	why: function(word) {
		return WHY[word] || String(word || '');
	},

	whys: function() {
		return Object.keys(WHY);
	},

	/* Paths of a share that wait: those from peers, and those that are held here because they flap. */
	waiting: function(share) {
		return L.toArray(share.pending).concat(L.toArray(share.held_paths).map(function(one) {
			return Object.assign({ needs_user: true }, one);
		}));
	},

	/* Whether the user must decide about a path; a refusal by a check is handled separately. */
	needsUser: function(one) {
		return one.needs_user === true && one.reason !== 'refused';
	}
});
