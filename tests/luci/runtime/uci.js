'use strict';
'require baseclass';
'require rpc';

// Packages as a view sees them: what was loaded, and what it changed since, which `save` hands to the session.

const callGet = rpc.declare({ object: 'uci', method: 'get', params: ['config'], expect: { values: {} }, reject: true });
const callAdd = rpc.declare({ object: 'uci', method: 'add', params: ['config', 'type', 'name', 'values'], expect: { section: '' }, reject: true });
const callSet = rpc.declare({ object: 'uci', method: 'set', params: ['config', 'section', 'values'], reject: true });
const callDelete = rpc.declare({ object: 'uci', method: 'delete', params: ['config', 'section', 'options'], reject: true });
const callOrder = rpc.declare({ object: 'uci', method: 'order', params: ['config', 'sections'], reject: true });
const callApply = rpc.declare({ object: 'uci', method: 'apply', params: ['timeout', 'rollback'], reject: true });

const empty = (value) => value === null || value === undefined || value === '';

return baseclass.extend({
	__init__() {
		this.$packages = new Map();
		this.$loading = new Map();
	},

	$package(name) {
		return this.$packages.get(name);
	},

	load(names) {
		const wanted = L.toArray(names).filter((name) => !this.$packages.has(name));
		return Promise.all(wanted.map((name) => {
			if (!this.$loading.has(name))
				this.$loading.set(name, callGet(name));
			return this.$loading.get(name).then((values) => {
				if (!this.$packages.has(name))
					this.$packages.set(name, { values, created: {}, changed: {}, deleted: {}, ordered: false, next: 0 });
				return name;
			}, (error) => {
				this.$loading.delete(name);
				throw error;
			});
		}));
	},

	unload(names) {
		for (const name of L.toArray(names)) {
			this.$packages.delete(name);
			this.$loading.delete(name);
		}
	},

	createSID(config) {
		const { values, created } = this.$package(config);
		let id;
		do
			id = `new${Math.floor(Math.random() * 0xffffff).toString(16).padStart(6, '0')}`;
		while (values[id] || created[id]);
		return id;
	},

	resolveSID(config, id) {
		const match = typeof id == 'string' && id.match(/^@([\w-]+)\[(-?\d+)\]$/);
		if (!match)
			return id;
		const found = this.sections(config, match[1]).at(Number(match[2]));
		return found ? found['.name'] : null;
	},

	add(config, type, name) {
		const pack = this.$package(config);
		const id = name ?? this.createSID(config);
		pack.created[id] = { '.type': type, '.name': id, '.create': name, '.anonymous': !name, '.index': 1000 + pack.next++ };
		return id;
	},

	clone(config, type, from, put, name) {
		const id = this.add(config, type, name);
		for (const [option, value] of Object.entries(this.get(config, from)))
			if (!option.startsWith('.'))
				this.set(config, id, option, value);
		return id;
	},

	remove(config, id) {
		const pack = this.$package(config);
		if (pack.created[id])
			delete pack.created[id];
		else if (pack.values[id]) {
			delete pack.changed[id];
			pack.deleted[id] = true;
		}
	},

	sections(config, type, call) {
		const pack = this.$package(config);
		if (!pack)
			return [];
		const found = [...Object.keys(pack.values).filter((id) => pack.deleted[id] !== true), ...Object.keys(pack.created)]
			.map((id) => ({ ...this.get(config, id) }))
			.filter((section) => !type || section['.type'] == type)
			.sort((a, b) => a['.index'] - b['.index']);
		found.forEach((section, at) => { section['.index'] = at; });
		if (typeof call == 'function')
			found.forEach((section) => call.call(this, section, section['.name']));
		return found;
	},

	get(config, section, option) {
		const pack = this.$package(config);
		const id = this.resolveSID(config, section);
		if (!pack || id === null || id === undefined || pack.deleted[id] === true)
			return null;
		const merged = pack.created[id] ?? (pack.values[id] ? { ...pack.values[id], ...pack.changed[id] } : null);
		if (merged && !pack.created[id])
			for (const gone of Object.keys(pack.deleted[id] ?? {}))
				delete merged[gone];
		if (option === null || option === undefined)
			return merged;
		return merged ? merged[option] ?? null : null;
	},

	get_first(config, type, option) {
		const [first] = this.sections(config, type);
		return first ? this.get(config, first['.name'], option) : null;
	},

	get_bool(config, type, option) {
		let value = this.get(config, type, option);
		value = Array.isArray(value) ? value[0] : value;
		return ['1', 'on', 'true', 'yes', 'enabled'].includes(value);
	},

	set(config, section, option, value) {
		const pack = this.$package(config);
		const id = this.resolveSID(config, section);
		if (!pack || id === null || id === undefined || option === null || option === undefined || option.startsWith('.'))
			return;
		if (pack.created[id]) {
			if (value === null || value === undefined)
				delete pack.created[id][option];
			else
				pack.created[id][option] = value;
		}
		else if (!pack.values[id] || pack.deleted[id] === true)
			return;
		else if (!empty(value)) {
			delete pack.deleted[id]?.[option];
			(pack.changed[id] ??= {})[option] = value;
		}
		else {
			delete pack.changed[id]?.[option];
			if (option in pack.values[id])
				(pack.deleted[id] ??= {})[option] = true;
		}
	},

	set_first(config, type, option, value) {
		const [first] = this.sections(config, type);
		if (first)
			this.set(config, first['.name'], option, value);
	},

	unset(config, section, option) {
		return this.set(config, section, option, null);
	},

	unset_first(config, type, option) {
		return this.set_first(config, type, option, null);
	},

	move(config, id, other, after) {
		const ids = this.sections(config).map((section) => section['.name']).filter((one) => one != id);
		const at = other === null || other === undefined ? ids.length : ids.indexOf(other) + (after ? 1 : 0);
		ids.splice(at, 0, id);
		const pack = this.$package(config);
		ids.forEach((one, index) => { (pack.created[one] ?? pack.values[one])['.index'] = index; });
		pack.ordered = true;
		return true;
	},

	async save() {
		const saved = [];
		for (const [config, pack] of this.$packages) {
			for (const [id, section] of Object.entries(pack.created)) {
				const values = Object.fromEntries(Object.entries(section).filter(([name]) => !name.startsWith('.')));
				const made = await callAdd(config, section['.type'], section['.create'], values);
				section['.name'] = made || id;
			}
			for (const [id, values] of Object.entries(pack.changed))
				if (Object.keys(values).length)
					await callSet(config, id, values);
			for (const [id, options] of Object.entries(pack.deleted))
				if (options === true)
					await callDelete(config, id, null);
				else if (Object.keys(options).length)
					await callDelete(config, id, Object.keys(options));
			if (pack.ordered) {
				const all = [...Object.values(pack.created), ...Object.entries(pack.values).filter(([id]) => pack.deleted[id] !== true)
					.map(([, section]) => section)];
				await callOrder(config, all.sort((a, b) => a['.index'] - b['.index']).map((section) => section['.name']));
			}
			saved.push(config);
		}
		this.unload(saved);
		return this.load(saved);
	},

	apply(timeout = 10) {
		return callApply(timeout, true);
	},
});
