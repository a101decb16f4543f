'use strict';
'require baseclass';
'require owsync.amounts as amounts';
'require owsync.words as words';
/* global amounts, words */

/*
 * The sentence at the top: is everything in sync, and if not, what is wrong and which button fixes it.
 *
 * A verdict has a `tone` (success, notice, warning, danger), a `sentence`, perhaps `advice`, perhaps the daemon's own
 * `details`, and `actions`, the most useful first. An action is the name of one of the page, with its arguments. The
 * first case that applies is shown: what blocks everything, what has a deadline, what waits for the user, what is wrong,
 * and at last what is well.
 */

/* Clauses of the sentence that are shown. */
const CLAUSES_MAX = 5;

function names(table) {
	return Object.keys(table || {});
}

function action(name, label, args) {
	return { name: name, label: label, args: args || [] };
}

/* What is wrong with the key, if anything. Without one the daemon runs, and opens no port. */
function keyProblem(status) {
	return status.key_fingerprint ? undefined : (status.problems || []).find(function(problem) {
		return problem.indexOf('configuration:') !== 0 && problem.indexOf('key') >= 0;
	});
}

/* The configuration, the key, the port: nothing works while one of these is wrong. */
function ofNode(status) {
	if (status.database_error)
		return {
			tone: 'danger',
			sentence: _('owsync cannot write its database, so nothing is exchanged.'),
			advice: _('Make room on its storage, or check why it is read-only.'),
			details: status.database_error,
			actions: []
		};

	const problem = (status.problems || [])[0];

	if (!problem)
		return null;

	if (keyProblem(status))
		return {
			tone: 'danger',
			sentence: _('This router has no usable key, so it cannot connect to any other router.'),
			advice: _('Put the key back where it was, or remove what is there and set owsync up again.'),
			details: words.plain(keyProblem(status)),
			actions: [ action('settings', _('Open the settings')) ]
		};

	if (problem.indexOf('configuration:') === 0)
		return {
			tone: 'danger',
			sentence: _('The settings contain a mistake; owsync continues with the previous ones.'),
			advice: null,
			details: status.problems.join('\n'),
			actions: [ action('settings', _('Open the settings')) ]
		};

	return {
		tone: 'danger',
		sentence: _('owsync cannot work as it should.'),
		advice: null,
		details: status.problems.join('\n'),
		actions: [ action('settings', _('Open the settings')) ]
	};
}

/* The steps of a commit, as docs/commit.md names them. */
const STEPS = {
	asked: _('has not answered yet'),
	prepared: _('is ready'),
	applied: _('has applied it'),
	reachable: _('is reachable'),
	kept: _('keeps it'),
	'rolled back': _('has rolled it back'),
	refused: _('refuses it')
};

/* A commit that is under way: on all routers, or on none. */
function ofCommit(status, passed) {
	const share = names(status.shares).find(function(name) {
		return status.shares[name].commit;
	});

	if (!share)
		return null;

	const commit = status.shares[share].commit;
	const isHere = L.toArray(commit.routers).some(function(one) {
		return one.router === commit.router;
	});
	const isDecided = commit.state === 'keeping' || commit.state === 'rolling back';
	const rollback = action('rollback', _('Roll it back now'), [ share ]);
	let advice = _('It is rolled back on all routers if one of them refuses it or cannot be reached afterwards.');

	if (commit.state === 'waiting')
		advice = _('All routers are reachable. It is rolled back in %d s unless you keep it.')
			.format(Math.max(0, (commit.seconds_left || 0) - passed));
	else if (commit.state === 'rolling back')
		advice = _('It is being rolled back on all routers.');

	return {
		tone: 'notice',
		sentence: _('Changes of %s are being applied on all routers.').format(commit.router),
		advice: advice,
		details: isHere ? L.toArray(commit.routers).map(function(one) {
			const step = STEPS[one.step] || one.step;

			return one.reason ? '%s: %s: %s'.format(one.router, step, one.reason) : '%s: %s'.format(one.router, step);
		}).join('\n') : null,
		actions: isDecided ? []
			: isHere && commit.state === 'waiting' ? [ action('keep', _('Keep the change'), [ share ]), rollback ] : [ rollback ]
	};
}

/* Changes that are not applied here yet, and could be on all routers at once. */
function ofUncommitted(status) {
	const share = names(status.shares).find(function(name) {
		return L.toArray(status.shares[name].uncommitted).length > 0;
	});

	if (!share)
		return null;

	const last = status.shares[share].last_commit;

	return {
		tone: last && last.result === 'rolled back' ? 'warning' : 'notice',
		sentence: _('Changes that are not applied yet are not synced: %s.').format(status.shares[share].uncommitted.join(', ')),
		advice: _('They can be checked and applied on all routers at once; if one router fails, all are rolled back.'),
		details: last && last.result === 'rolled back' ? '%s: %s'.format(amounts.time(last.time), last.message) : null,
		actions: [ action('commit', _('Save & Apply on all routers'), [ share ]) ]
	};
}

/* An unconfirmed change, which is rolled back unless it is kept; `passed` seconds ago the status was true. */
function ofTrial(status, passed) {
	const share = names(status.shares).find(function(name) {
		return status.shares[name].unconfirmed;
	});

	if (!share)
		return null;

	const trial = status.shares[share].unconfirmed;

	/* The first exchange is what was asked for: progress, not an alarm. */
	if (trial.first)
		return {
			tone: 'success',
			sentence: _('The first sync with %s was applied.').format(trial.peer),
			advice: trial.seconds_left === undefined
				? _('It is confirmed as soon as %s responds.').format(trial.peer)
				: _('It is confirmed as soon as %s responds, and rolled back after %d s if it does not.')
					.format(trial.peer, Math.max(0, trial.seconds_left - passed)),
			actions: []
		};

	return {
		tone: 'warning',
		sentence: _('A change of %s by %s is unconfirmed.').format((trial.paths || []).join(', '), trial.peer),
		advice: trial.seconds_left === undefined
			? _('It will be rolled back unless you keep it.')
			: _('It will be rolled back in %d s unless %s responds or you keep it.')
				.format(Math.max(0, trial.seconds_left - passed), trial.peer),
		actions: [
			action('keep', _('Keep the change'), [ share ]),
			action('rollback', _('Roll it back now'), [ share ])
		]
	};
}

function ofHold(status) {
	const held = names(status.shares).filter(function(name) {
		return status.shares[name].hold;
	});
	const waiting = held.find(function(name) {
		return words.isDecision(status.shares[name].hold);
	});
	const share = waiting || held[0];

	if (!share)
		return null;

	const hold = status.shares[share].hold;

	/* Without its directory there is nothing to decide. */
	if (!waiting)
		return {
			tone: 'warning',
			sentence: _('%s is not synced, because %s.').format(share, words.hold(share, hold)),
			advice: words.holdAdvice(hold),
			details: words.plain(hold.message),
			actions: [ action('settings', _('Open the settings')) ]
		};

	return {
		tone: 'danger',
		sentence: _('owsync stopped syncing, because %s.').format(words.hold(share, hold)),
		advice: words.holdAdvice(hold),
		actions: [ action('hold', _('Review and decide'), [ share ]) ]
	};
}

function ofWaiting(status) {
	const waiting = (status.waiting || []).find(function(one) {
		return one.reason === 'not_accepted' || one.reason === 'identity_changed';
	});

	if (!waiting)
		return null;

	return {
		tone: 'warning',
		sentence: words.peer(waiting.name || waiting.address, waiting),
		advice: words.peerAdvice(waiting),
		actions: [ action('accept', _('Review and accept'), [ waiting ]) ]
	};
}

function isRefused(one) {
	return one.reason === 'refused';
}

/* Paths that wait for the user, or that a check refused. */
function ofPaths(status) {
	const share = names(status.shares).find(function(name) {
		return words.waiting(status.shares[name]).some(words.needsUser);
	});

	if (share) {
		const count = words.waiting(status.shares[share]).filter(words.needsUser).length;

		return {
			tone: 'warning',
			sentence: N_(count, '%d file of %s waits for your decision.', '%d files of %s wait for your decision.')
				.format(count, share),
			advice: _('Everything else is synced meanwhile.'),
			actions: [ action('decide', _('Review and decide'), [ share ]) ]
		};
	}

	const refusing = names(status.shares).find(function(name) {
		return (status.shares[name].pending || []).some(isRefused);
	});

	if (refusing)
		return {
			tone: 'danger',
			sentence: _('The check of %s refused a change of another router.').format(refusing),
			advice: _('The previous version stays in use. Fix it on the other router, or apply the rest without it.'),
			details: status.shares[refusing].pending.filter(isRefused).map(function(one) {
				return _('%s: %s').format(one.path, one.message);
			}).join('\n'),
			actions: [ action('decide', _('Review and decide'), [ refusing ]) ]
		};

	return null;
}

/* Whether a peer or share was paused itself: a peer may also lag because a share is. */
function isPaused(one) {
	return one.paused !== undefined || one.state === 'paused';
}

function ofPause(status) {
	const shares = names(status.shares);
	const peers = names(status.peers);
	const pausedShares = shares.filter(function(name) {
		return isPaused(status.shares[name]);
	});
	const pausedPeers = peers.filter(function(name) {
		return isPaused(status.peers[name]);
	});

	if (pausedShares.length + pausedPeers.length === 0)
		return null;

	const isWhole = pausedShares.length === shares.length && shares.length > 0;
	const first = isWhole || !pausedPeers.length
		? status.shares[pausedShares[0]] : status.peers[pausedPeers[0]];
	const pause = L.isObject(first.paused) ? first.paused : {};
	const list = pausedPeers.concat(pausedShares).join(', ');
	const until = pause.until ? _('It resumes automatically at %s.').format(amounts.time(pause.until)) : null;
	const advice = [ pause.reason, until ].filter(function(text) {
		return text;
	}).join(' — ');

	return {
		tone: 'warning',
		sentence: isWhole ? _('Syncing is paused.') : _('Syncing is paused for %s.').format(list),
		advice: advice,
		actions: [ action('resume', _('Resume'), isWhole || pausedPeers.length + pausedShares.length > 1
			? [] : [ pausedPeers[0], pausedShares[0] ]) ]
	};
}

function ofManual(status) {
	const share = names(status.shares).find(function(name) {
		const one = status.shares[name];

		return one.unreleased_count > 0 || (one.pending || []).some(function(path) {
			return path.reason === 'manual';
		});
	});

	if (!share)
		return null;

	const one = status.shares[share];
	const count = (one.unreleased_count || 0) + (one.pending || []).filter(function(path) {
		return path.reason === 'manual';
	}).length;

	return {
		tone: 'notice',
		sentence: N_(count, '%d change of %s waits for Sync now.', '%d changes of %s wait for Sync now.')
			.format(count, share),
		advice: _('This share is synced by hand.'),
		actions: [ action('preview', _('See the changes'), [ null, share ]),
			action('sync', _('Sync now'), [ null, share ]) ]
	};
}

/* The place of a peer among the reasons of the daemon, which names the most useful first. */
function rank(status, name) {
	const at = L.toArray(status.reasons).findIndex(function(one) {
		return one.peer === name;
	});

	return at < 0 ? Infinity : at;
}

function ofPeers(status) {
	const peers = status.peers || {};
	const amiss = names(peers).filter(function(name) {
		/* Who is just being brought up to date is well, until it takes too long; one that is relayed is as in sync as its relay. */
		return peers[name].in_sync === false && peers[name].state !== 'disabled' && peers[name].state !== 'relayed'
			&& (peers[name].state !== 'syncing' || peers[name].reason === 'late');
	}).sort(function(one, other) {
		const before = rank(status, one);
		const after = rank(status, other);

		return before === after ? 0 : before - after;
	});

	if (amiss.length === 0)
		return null;

	const name = amiss[0];
	const actions = [];

	if (peers[name].state === 'away')
		actions.push(action('forget', _('Forget this peer'), [ name, peers[name] ]));
	else if (peers[name].reason !== 'connecting')
		actions.push(action('sync', _('Try again now'), [ name, null ]));

	if (peers[name].reason === 'wrong_mode' || peers[name].reason === 'same_identity'
		|| peers[name].reason === 'unresolved' || peers[name].reason === 'disabled')
		actions.push(action('settings', _('Open the settings')));

	const more = amiss.length - 1;
	const sentence = words.peer(name, peers[name]);

	return {
		tone: peers[name].reason === 'connecting' ? 'notice' : 'warning',
		sentence: more === 0 ? sentence
			: N_(more, '%s The same or another reason keeps %d more peer from being in sync.',
				'%s The same or other reasons keep %d more peers from being in sync.').format(sentence, more),
		advice: words.peerAdvice(peers[name]),
		details: words.saysMore(peers[name]) ? words.plain(peers[name].message) : null,
		actions: actions
	};
}

/* What keeps a share, or everything, from being in sync, and concerns no peer. */
function ofReasons(status) {
	const first = status.in_sync ? null : L.toArray(status.reasons).find(function(one) {
		return !one.peer && !words.isMoving(one);
	});

	if (!first)
		return null;

	const said = words.gap(first);

	return {
		tone: 'warning',
		sentence: said[0],
		advice: said[1],
		details: words.saysMore(first) ? words.plain(first.message) : null,
		actions: first.reason === 'no_peer' ? [ action('invite', _('Invite a router')), action('settings', _('Open the settings')) ]
			: [ action('settings', _('Open the settings')) ]
	};
}

/* What restricts "in sync" without changing it: files that differ by choice, and routers that this one is not connected to. */
function clauses(status) {
	const list = [];
	const leftOut = status.left_out || {};
	const total = names(leftOut).reduce(function(sum, code) {
		return sum + leftOut[code];
	}, 0);
	const turnedAway = L.toArray(status.waiting).filter(words.isTurnedAway);

	if (total > 0)
		list.push(N_(total, '%d file is left out: %s.', '%d files are left out: %s.').format(total,
			names(leftOut).map(function(code) {
				return words.leftOut(code, leftOut[code]);
			}).join(', ')));

	names(status.peers).forEach(function(peer) {
		L.toArray(status.peers[peer].behind).forEach(function(one) {
			list.push(_('%s, behind %s, is not in sync.').format(one.name, peer));
		});
	});

	if (turnedAway.length > 0)
		list.push(_('Refused, because too many connections are open: %s.').format(turnedAway.map(function(one) {
			return one.name || one.address;
		}).join(', ')));

	return list.length > CLAUSES_MAX
		? list.slice(0, CLAUSES_MAX).concat(N_(list.length - CLAUSES_MAX, 'And %d more.', 'And %d more.')
			.format(list.length - CLAUSES_MAX))
		: list;
}

function ofEmptiness(status) {
	const shares = status.shares || {};
	const isBare = names(shares).length === 0 || names(shares).every(function(name) {
		return shares[name].warning;
	});

	if (isBare)
		return {
			tone: 'warning',
			sentence: _('Nothing is chosen to be synced.'),
			advice: _('Choose files or packages under Settings, Shares.'),
			actions: [ action('settings', _('Choose what to sync')) ]
		};

	if (names(status.peers).length === 0)
		return {
			tone: 'notice',
			sentence: _('This router is ready, and no other router has joined it yet.'),
			advice: _('Invite one: it gets a text to paste into its own page of owsync.'),
			actions: [ action('invite', _('Invite a router')) ]
		};

	return null;
}

return baseclass.extend({
	/* Whether a status is that of a router which is to be set up: it runs, and there is no key at all. */
	isNew: function(status) {
		const problem = keyProblem(status) || '';

		return problem.indexOf('no key:') === 0
			|| (problem.indexOf('the key file ') === 0 && problem.indexOf(' does not exist') > 0);
	},

	keyProblem: keyProblem,
	isPaused: isPaused,

	/* Whether time runs out for something, so that every second counts. */
	isUrgent: function(status) {
		return names(status.shares).some(function(name) {
			return status.shares[name].unconfirmed || status.shares[name].commit;
		});
	},

	/* What is said about a status that was true `passed` seconds ago. */
	of: function(status, passed) {
		const found = ofNode(status) || ofCommit(status, passed || 0) || ofTrial(status, passed || 0) || ofHold(status) || ofWaiting(status) || ofPaths(status)
			|| ofPause(status) || ofManual(status) || ofPeers(status) || ofUncommitted(status) || ofEmptiness(status) || ofReasons(status);

		if (found)
			return found;

		if (status.in_sync)
			return {
				tone: 'success',
				sentence: status.since
					? _('Everything is in sync since %s.').format(amounts.time(status.since))
					: _('Everything is in sync.'),
				advice: clauses(status).join(' ') || null,
				actions: []
			};

		return {
			tone: 'notice',
			sentence: _('Changes are being exchanged.'),
			advice: null,
			details: status.summary,
			actions: []
		};
	},

	/* The verdict while no daemon responds; `service` is what is known of the init script and the settings. */
	ofSilence: function(error, service, mayAct) {
		if (!error.isAway)
			return { tone: 'danger', sentence: error.message, advice: _('It is retried automatically.'), actions: [] };

		if (mayAct && !service.isEnabled)
			return {
				tone: 'notice',
				sentence: _('owsync is disabled on this router.'),
				advice: _('Its settings are kept. Nothing is synced while it is off.'),
				actions: [ action('enable', _('Enable it')) ]
			};

		return {
			tone: 'danger',
			sentence: _('owsync is not running on this router.'),
			advice: mayAct ? _('Nothing is synced. If it does not stay started, the system log says why.')
				: _('Nothing is synced. An administrator can start it.'),
			actions: mayAct ? [ action('start', _('Start it')) ] : []
		};
	}
});
