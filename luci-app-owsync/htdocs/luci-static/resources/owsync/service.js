'use strict';
'require baseclass';
'require rpc';
'require uci';
'require owsync.daemon as daemon';
/* global daemon */

/*
 * Whether owsync runs at all: the option `enabled`, the init script, and the daemon's object on ubus.
 *
 * Both of the first two say whether it is to run, and both are switched together here. A change of the package is
 * committed on its own: other changes that the reader has not applied yet stay as they are.
 */

const callList = rpc.declare({ object: 'rc', method: 'list', params: [ 'name' ], expect: { '': {} } });
const callInit = rpc.declare({ object: 'rc', method: 'init', params: [ 'name', 'action' ], reject: true });
/* A request of its own, where LuCI would have the calls of a moment wait for each other in one. */
const callInitApart = rpc.declare({ object: 'rc', method: 'init', params: [ 'name', 'action' ], reject: true, nobatch: true });
const callCommit = rpc.declare({ object: 'uci', method: 'commit', params: [ 'config' ], reject: true });

/* How long the object is waited for, and how often it is looked for, in milliseconds. */
const PATIENCE = 30000;
const EVERY = 500;

function later(milliseconds) {
	return new Promise(function(resolve) {
		window.setTimeout(resolve, milliseconds);
	});
}

return baseclass.extend({
	/* The name of the section that describes the node: the first of its type, whatever it is called. */
	section: function() {
		const sections = uci.sections('owsync', 'owsync');

		return sections.length ? sections[0]['.name'] : null;
	},

	/* What is known of the service while no daemon responds: whether it was ever set up, whether it should run. */
	look: function(mayRead) {
		const script = L.resolveDefault(callList('owsync'), {});
		const settings = mayRead ? L.resolveDefault(uci.load('owsync')) : null;
		const self = this;

		return Promise.all([ script, settings ]).then(function(found) {
			const state = found[0].owsync || {};
			const section = mayRead ? self.section() : null;
			const get = function(option) {
				return section ? L.toArray(uci.get('owsync', section, option)) : [];
			};
			const sections = mayRead
				? uci.sections('owsync', 'peer').concat(uci.sections('owsync', 'share')) : [];

			return {
				isStarted: state.running === true,
				isScriptEnabled: state.enabled === true,
				isEnabled: [ '1', 'on', 'true', 'yes', 'enabled' ].indexOf(get('enabled')[0]) >= 0,
				isSetUp: get('include').length > 0 || get('peer').length > 0 || sections.length > 0
			};
		});
	},

	/*
	 * Changes options of the node, or of another section, and puts that in force without touching what else waits to be
	 * applied.
	 */
	change: function(options, name) {
		const self = this;

		uci.unload('owsync');

		return uci.load('owsync').then(function() {
			const section = name || self.section() || uci.add('owsync', 'owsync', 'main');

			Object.keys(options).forEach(function(option) {
				const value = options[option];

				if (value === null || (Array.isArray(value) && value.length === 0))
					uci.unset('owsync', section, option);
				else
					uci.set('owsync', section, option, value);
			});

			return uci.save();
		}).then(function() {
			return callCommit('owsync');
		}).then(function() {
			uci.unload('owsync');

			return uci.load('owsync');
		});
	},

	/* Has it run, now and after every start of the router, and waits until it answers. */
	enable: function() {
		const self = this;

		return this.change({ enabled: '1' }).then(function() {
			return callInit('owsync', 'enable');
		}).then(function() {
			return callInit('owsync', 'start');
		}).then(function() {
			return self.answers();
		});
	},

	/* Starts what is to run anyway. */
	start: function() {
		const self = this;

		return callInit('owsync', 'start').then(function() {
			return self.answers();
		});
	},

	/*
	 * Makes the init script agree with what the settings say.
	 *
	 * Both calls leave at once: LuCI loads the page again shortly after settings were applied, and on a slow router that is
	 * before the first one is answered. What has not been sent by then never is; what was sent is done, answered or not.
	 */
	follow: function(isEnabled) {
		return Promise.all([
			callInitApart('owsync', isEnabled ? 'enable' : 'disable'),
			callInitApart('owsync', isEnabled ? 'start' : 'stop')
		]);
	},

	/* The first status, as soon as there is one. */
	answers: function() {
		const end = Date.now() + PATIENCE;

		function ask() {
			return daemon.call('status').catch(function(error) {
				if (!error.isAway || Date.now() >= end)
					throw new Error(_('owsync was started and does not answer. The log says why: %s').format(error.message));

				return later(EVERY).then(ask);
			});
		}

		return ask();
	},

	/* Waits until the status is as wanted; resolves with the last one in any case. */
	until: function(isWanted, milliseconds) {
		const end = Date.now() + milliseconds;

		function ask() {
			return daemon.call('status').then(function(status) {
				if (isWanted(status) || Date.now() >= end)
					return status;

				return later(EVERY).then(ask);
			});
		}

		return ask();
	}
});
