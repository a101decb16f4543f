'use strict';
'require baseclass';
'require rpc';

/*
 * The daemon's methods on ubus, as docs/ubus.md lists them.
 *
 * A method answers with a table. What fails is a status code, with a sentence in front of it: here that is an Error with
 * this sentence. Where the daemon does not run its object is not there, and the error says so in `isAway`.
 */

function declare(method, params) {
	return rpc.declare({ object: 'owsync', method: method, params: params });
}

const METHODS = {
	accept: declare('accept', [ 'peer' ]),
	approve: declare('approve', [ 'share', 'path', 'pick', 'dry_run' ]),
	commit: declare('commit', [ 'share', 'session', 'wait' ]),
	confirm: declare('confirm', [ 'share' ]),
	diff: declare('diff', [ 'number', 'with', 'options' ]),
	forget: declare('forget', [ 'share', 'path' ]),
	forget_peer: declare('forget_peer', [ 'peer' ]),
	history: declare('history', [ 'share', 'path', 'limit' ]),
	identity: declare('identity'),
	init: declare('init', [ 'address' ]),
	invite: declare('invite', [ 'address' ]),
	join: declare('join', [ 'text', 'address' ]),
	local: declare('local', [ 'path', 'pattern', 'yes', 'all' ]),
	merge: declare('merge', [ 'number', 'dry_run' ]),
	pause: declare('pause', [ 'peer', 'share', 'reason', 'for' ]),
	reject: declare('reject', [ 'share', 'path', 'dry_run' ]),
	reload: declare('reload'),
	restore: declare('restore', [ 'number', 'option' ]),
	resume: declare('resume', [ 'peer', 'share' ]),
	rollback: declare('rollback', [ 'share' ]),
	status: declare('status'),
	sync: declare('sync', [ 'peer', 'share', 'dry_run' ]),
	undo: declare('undo', [ 'run' ])
};

/* In the order of ubusmsg.h. */
const STATUS = [
	_('It was done.'),
	_('The command is not known.'),
	_('The arguments are not valid.'),
	_('This version of owsync cannot do that.'),
	_('It does not exist.'),
	_('There is no answer.'),
	_('This account may not do that.'),
	_('It took too long.'),
	_('It cannot be done at this moment.'),
	_('Something that was needed failed.')
];

function failure(message, isAway) {
	const error = new Error(message);

	error.isAway = isAway;

	return error;
}

function answer(reply) {
	if (typeof(reply) == 'number') {
		if (reply === 0)
			return {};

		throw failure(STATUS[reply] || _('It failed with the status %d.').format(reply), reply === 4);
	}

	if (L.isObject(reply) && reply.code && reply.message)
		throw failure(String(reply.message), false);

	return L.isObject(reply) ? reply : {};
}

function refusal(error) {
	const text = String(error.message || error);

	/* JSON-RPC codes of uhttpd-mod-ubus: the object is not there, or the session may not call it. */
	if (text.indexOf('-32000') >= 0)
		throw failure(_('owsync is not running on this router.'), true);

	if (text.indexOf('-32002') >= 0)
		throw failure(_('This account may not do that.'), false);

	throw failure(error.isAway === undefined ? _('The router does not answer: %s').format(text) : text,
		error.isAway || false);
}

return baseclass.extend({
	/* Calls a method with its arguments in the order above. What is null is left out: ubus has no word for it. */
	call: function(method) {
		const args = Array.prototype.slice.call(arguments, 1).map(function(argument) {
			return argument === null ? undefined : argument;
		});

		return METHODS[method].apply(null, args).then(answer, refusal);
	},

	/*
	 * Whether a method of the daemon that runs has this argument. It leaves out what it does not know, and an older one
	 * would do at once what it is only asked about.
	 */
	has: function(method, argument) {
		return rpc.list('owsync').then(function(objects) {
			const methods = L.isObject(objects) ? objects.owsync : null;

			return L.isObject(methods) && L.isObject(methods[method]) && methods[method][argument] !== undefined;
		}, function() {
			return false;
		});
	}
});
