'use strict';
'require baseclass';
'require dom';
'require ui';
'require uci';
'require rpc';
'require elements';
'require options';
'require sections';

// Maps: a form of a package, or of an object.

const callAccess = rpc.declare({ object: 'session', method: 'access', params: ['scope', 'object', 'function'], expect: { access: false } });

const Map = elements.AbstractElement.extend({
	__init__(config, ...given) {
		this.super('__init__', given);
		Object.assign(this, { config, parsechain: [config], data: uci });
	},

	chain(config) {
		if (!this.parsechain.includes(config))
			this.parsechain.push(config);
	},

	section(Section, ...given) {
		if (!sections.AbstractSection.isSubclass(Section))
			L.raise('TypeError', 'Class must be a descendent of CBIAbstractSection');
		const made = Section.instantiate([this, ...given]);
		this.append(made);
		return made;
	},

	findElements(...given) {
		return this.root.querySelectorAll(given.length == 1 ? given[0] : `[${given[0]}="${given[1]}"]`);
	},

	findElement(...given) {
		return this.root ? this.findElements(...given)[0] ?? null : null;
	},

	async load() {
		const asks = !(this instanceof JSONMap) && this.readonly === undefined;
		const [granted] = await Promise.all([asks ? callAccess('uci', this.config, 'write') : true,
			...this.parsechain.map((config, at) => at ? L.resolveDefault(this.data.load(config)) : this.data.load(config))]);
		if (granted === false)
			this.readonly = true;
		return this.loadChildren();
	},

	parse() {
		return Promise.all(this.children.map((child) => child.parse()));
	},

	async save(call, silent) {
		this.checkDepends();
		try {
			await this.parse();
			await call?.();
			await this.data.save();
			await this.load();
		}
		catch (error) {
			if (!silent)
				ui.showModal(_('Save error'), [
					E('p', {}, [_('An error occurred while saving the form:')]),
					E('p', {}, [E('em', { 'style': 'white-space:pre-wrap' }, [error.message])]),
					E('div', { 'class': 'right' }, [E('button', { 'class': 'cbi-button', 'click': ui.hideModal }, [_('Dismiss')])]),
				]);
			throw error;
		}
		return this.renderContents();
	},

	reset() {
		return this.renderContents();
	},

	async render() {
		await this.load();
		return this.renderContents();
	},

	async renderContents() {
		this.root ??= E('div', { 'id': `cbi-${this.config}`, 'class': 'cbi-map' });
		dom.bindClassInstance(this.root, this);
		const nodes = await this.renderChildren(null);
		dom.content(this.root, null);
		dom.bindClassInstance(this.root, this);
		if (this.title)
			this.root.appendChild(E('h2', { 'name': 'content' }, this.title));
		if (this.description)
			this.root.appendChild(E('div', { 'class': 'cbi-map-descr' }, this.description));
		dom.append(this.root, this.tabbed ? E('div', { 'class': 'cbi-map-tabbed' }, nodes) : nodes);
		this.checkDepends();
		for (const group of this.root.querySelectorAll('.cbi-map-tabbed, .cbi-section-node-tabbed'))
			ui.tabs.initTabGroup(group.childNodes);
		return this.root;
	},

	lookupOption(name, section, config) {
		const id = name.includes('.') ? `cbid.${name}` : `cbid.${config ?? this.config}.${section}.${name}`;
		const node = this.findElement('data-field', id);
		const found = node ? dom.findClassInstance(node) : null;
		return found instanceof options.AbstractValue ? [found, id.split('.')[2]] : null;
	},

	checkDepends() {
		for (let round = 0; round < 10; round++)
			if (!this.children.map((child) => child.checkDepends()).some(Boolean))
				break;
		ui.tabs.updateTabs(null, this.root);
	},

	isDependencySatisfied(lists, config, section) {
		if (!lists?.length)
			return true;
		return lists.some((list) => {
			const holds = Object.entries(list).filter(([name]) => !name.startsWith('!')).every(([name, wanted]) => {
				const [other, id] = this.lookupOption(name, section, config) ?? [];
				const value = other?.isActive(id) ? other.formvalue(id) : null;
				return list['!contains'] ? L.toArray(value).map(String).includes(String(wanted)) : options.equal(value, wanted);
			});
			return list['!default'] ? true : list['!reverse'] ? !holds : holds;
		});
	},
});

// An object as if it were a package: { type: { option: value } or [{ option: value }] }.
const JSONData = baseclass.extend({
	__init__(data) {
		this.$sections = Object.entries(data ?? {}).flatMap(([type, value]) => Array.isArray(value)
			? value.map((one, at) => Object.assign(one, { '.name': one['.name'] ?? `${type}${at}`, '.type': type, '.anonymous': !one['.name'] }))
			: [Object.assign(value, { '.name': type, '.type': type, '.anonymous': false })]);
	},
	load: () => Promise.resolve(),
	save: () => Promise.resolve(),
	sections(config, type) {
		return this.$sections.filter((section) => !type || section['.type'] == type);
	},
	get(config, id, option) {
		const section = this.$sections.find((one) => one['.name'] == id);
		const value = option === undefined || option === null ? section : section?.[option];
		return value === undefined ? null : typeof value == 'object' ? value : String(value);
	},
	set(config, id, option, value) {
		const section = this.$sections.find((one) => one['.name'] == id);
		if (section && value === null)
			delete section[option];
		else if (section)
			section[option] = value;
	},
	unset(config, id, option) {
		this.set(config, id, option, null);
	},
	add(config, type, name) {
		const id = name ?? `${type}${this.$sections.length}`;
		this.$sections.push({ '.name': id, '.type': type, '.anonymous': !name });
		return id;
	},
	remove(config, id) {
		this.$sections = this.$sections.filter((one) => one['.name'] != id);
	},
	resolveSID: (config, id) => id,
});

const JSONMap = Map.extend({
	__init__(data, ...given) {
		this.super('__init__', ['json', ...given]);
		this.data = new JSONData(data);
	},
});

return baseclass.extend({
	Map, JSONMap,
	AbstractSection: sections.AbstractSection, NamedSection: sections.NamedSection, TypedSection: sections.TypedSection,
	TableSection: sections.TableSection, GridSection: sections.GridSection,
	AbstractValue: options.AbstractValue, Value: options.Value, DynamicList: options.DynamicList, ListValue: options.ListValue,
	Flag: options.Flag, MultiValue: options.MultiValue, TextValue: options.TextValue, DummyValue: options.DummyValue,
	Button: options.Button, HiddenValue: options.HiddenValue, SectionValue: options.SectionValue,
});
