'use strict';
// What LuCI's views reach through rpcd and uhttpd's /ubus: sessions, packages, services, and every other object by way of
// the router's own ubus.

const { randomBytes } = require('node:crypto');
const { dirname } = require('node:path');
const { Uci } = require('./uci');
const { Rights } = require('./rights');

const OK = 0, INVALID_ARGUMENT = 2, METHOD_NOT_FOUND = 3, NOT_FOUND = 4, NO_DATA = 5, PERMISSION_DENIED = 6;

// uhttpd-mod-ubus (ubus.c): errors that are not ubus's own.
const PARSE = [-32700, 'Parse error'], REQUEST = [-32600, 'Invalid request'], METHOD = [-32601, 'Method not found'];
const OBJECT = [-32000, 'Object not found'], ACCESS = [-32002, 'Access denied'];

const TYPE_NAMES = { 1: 'array', 2: 'object', 3: 'string', 4: 'number', 5: 'number', 6: 'number', 7: 'boolean', 8: 'number' };

class Rpcd {
	// `acl` is the directory of access lists.
	constructor(router, acl) {
		this.router = router;
		this.acl = acl;
		this.sessions = new Map();
		this.asked = [];
		this.refused = [];
		// For states that no real router gets into: the answer to give instead.
		this.altered = undefined;
	}

	// The id of a new session of a user with these parts of every group.
	login(parts = ['read', 'write']) {
		const id = randomBytes(16).toString('hex');
		this.sessions.set(id, { rights: new Rights(this.acl, parts), uci: new Uci(this.router.file('etc/config')) });
		return id;
	}

	// The answer to the text of a request, or of several in a list.
	async answer(text) {
		let request;
		try {
			request = JSON.parse(text);
		}
		catch {
			return { jsonrpc: '2.0', id: null, error: { code: PARSE[0], message: PARSE[1] } };
		}
		return Array.isArray(request) ? Promise.all(request.map((one) => this.one(one))) : this.one(request);
	}

	async one({ id, method, params }) {
		const found = method == 'call' ? await this.call(...params) : method == 'list' ? await this.list(params) : METHOD;
		const { code, message } = { code: found[0], message: found[1] };
		return code < 0 ? { jsonrpc: '2.0', id, error: { code, message } } : { jsonrpc: '2.0', id, result: found.result ?? found };
	}

	async call(sid, object, method, given) {
		const session = this.sessions.get(sid);
		if (typeof object != 'string' || typeof method != 'string')
			return REQUEST;
		if (!session?.rights.grants('ubus', object, method)) {
			this.refused.push(`${object} ${method}`);
			return ACCESS;
		}
		this.asked.push({ object, method, given });
		const own = OBJECTS[object];
		if (own)
			return own[method] ? own[method](session, given ?? {}, this.router) : [METHOD_NOT_FOUND];
		if (!this.router.bus)
			return OBJECT;
		const answer = await this.router.bus.call(object, method, { ubus_rpc_session: sid, ...given });
		if (answer[0] == NOT_FOUND && answer.length == 1)
			return OBJECT;
		return this.altered ? this.altered(object, method, answer) : answer;
	}

	async list(params) {
		const [, objects] = this.router.bus ? await this.router.bus.lookup('') : [OK, []];
		const own = Object.keys(OBJECTS);
		if (!params?.length)
			return { result: [...own, ...objects.map(({ path }) => path)].sort() };
		const named = objects.filter(({ path }) => params.includes(path));
		return { result: Object.fromEntries(named.map(({ path, methods }) => [path,
			Object.fromEntries(Object.entries(methods).map(([name, words]) => [name,
				Object.fromEntries(Object.entries(words).map(([word, type]) => [word, TYPE_NAMES[type]]))]))])) };
	}
}

// A session that may not read or write the package gets no further.
const reads = (act) => (session, given, router) => guard(session, given, router, 'read', act);
const writes = (act) => (session, given, router) => guard(session, given, router, 'write', act);

function guard(session, given, router, action, act) {
	if (!session.rights.grants('uci', given.config ?? '', action))
		return [PERMISSION_DENIED];
	if (!session.uci.names().includes(given.config))
		return [NOT_FOUND];
	return act(session.uci, given, router);
}

function described(sections) {
	return Object.fromEntries(sections.map((section, index) => [section['.name'], { ...section, '.index': index }]));
}

const OBJECTS = {
	session: {
		access({ rights }, given) {
			return [OK, { access: rights.grants(given.scope ?? 'ubus', given.object, given.function) }];
		},
	},
	uci: {
		get: reads((uci, { config, section, option, type }) => {
			const all = described(uci.sections(config).filter((one) => !type || one['.type'] == type));
			if (!section)
				return [OK, { values: all }];
			const found = all[section];
			if (!found || (option && found[option] === undefined))
				return [NOT_FOUND];
			return [OK, option ? { value: found[option] } : { values: found }];
		}),
		set: writes((uci, { config, section, values }) => [uci.set(config, section, values) ? OK : NOT_FOUND]),
		add: writes((uci, { config, type, name, values }) => [OK, { section: uci.add(config, type, name, values) }]),
		delete: writes((uci, { config, section, option, options }) =>
			[uci.remove(config, section, option ? [option] : options) ? OK : NOT_FOUND]),
		order: writes((uci, { config, sections }) => [(uci.order(config, sections), OK)]),
		configs: (session) => [OK, { configs: session.uci.files() }],
		commit: writes(async (uci, { config }, router) => {
			await router.changed(uci.apply([config]));
			return [OK];
		}),
		changes(session) {
			return [OK, { changes: Object.fromEntries([...session.uci.staged.keys()].map((name) => [name, []])) }];
		},
		revert: writes((uci, { config }) => [(uci.staged.delete(config), OK)]),
		// The packages are written at once; without a confirmation the previous ones return.
		async apply(session, given, router) {
			if (!session.uci.staged.size)
				return [NO_DATA];
			await router.changed(session.uci.apply());
			router.applied += 1;
			return [OK];
		},
		confirm(session, given, router) {
			router.confirmed += 1;
			return [OK];
		},
	},
	rc: {
		list(session, { name }, { service }) {
			const known = { start: 90, stop: 10, enabled: service.enabled, running: service.running };
			return [OK, !name || name == 'owsync' ? { owsync: known } : {}];
		},
		async init(session, { name, action }, { service }) {
			if (name != 'owsync')
				return [NOT_FOUND];
			return [await service.action(action) ? OK : INVALID_ARGUMENT];
		},
	},
	service: {
		list(session, { name }, { service }) {
			const instance = { running: service.running, pid: service.pid, command: ['/usr/bin/owsync', 'daemon'] };
			const instances = service.running ? { instances: { owsync: instance } } : {};
			return [OK, !name || name == 'owsync' ? { owsync: instances } : {}];
		},
	},
	luci: {
		getFeatures: () => [OK, {}],
		getInitList(session, { name }, { service }) {
			return [OK, !name || name == 'owsync' ? { owsync: { index: 90, stop: 10, enabled: service.enabled } } : {}];
		},
		async setInitAction(session, { name, action }, { service }) {
			return [OK, { result: name == 'owsync' && await service.action(action) }];
		},
	},
	'luci-rpc': {
		getHostHints: () => [OK, {}],
	},
	system: {
		board: (session, given, router) => [OK, { hostname: router.name, model: 'Stand-in Router', release: { version: '24.10' } }],
		info: () => [OK, { localtime: Math.floor(Date.now() / 1000), uptime: 1000 }],
	},
	file: {
		list(session, { path }, router) {
			if (!session.rights.grants('file', path, 'list'))
				return [PERMISSION_DENIED];
			return router.listed(path);
		},
		read(session, { path }, router) {
			if (!session.rights.grants('file', path, 'read'))
				return [PERMISSION_DENIED];
			return router.readable(path);
		},
		write(session, { path, data, mode }, router) {
			if (!session.rights.grants('file', path, 'write'))
				return [PERMISSION_DENIED];
			if (!router.exists(dirname(path)))
				return [NOT_FOUND];
			router.write(path, data, mode);
			return [OK];
		},
		stat(session, { path }, router) {
			if (!session.rights.grants('file', path, 'list') && !session.rights.grants('file', path, 'read'))
				return [PERMISSION_DENIED];
			return router.described(path);
		},
	},
};

module.exports = { Rpcd };
