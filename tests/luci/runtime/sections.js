'use strict';
'require baseclass';
'require dom';
'require ui';
'require elements';
'require options';

// Sections: one by its name, all of a type one below another, or as a table whose rows open in a dialog.

const AbstractSection = elements.AbstractElement.extend({
	__init__(map, type, ...given) {
		this.super('__init__', given);
		Object.assign(this, { map, sectiontype: type, config: map.config, addremove: false, dynamic: false, optional: true });
	},

	$config() {
		return this.uciconfig ?? this.map.config;
	},

	filter: () => true,

	cfgsections() {
		return this.map.data.sections(this.$config(), this.sectiontype).map((section) => section['.name']).filter((id) => this.filter(id));
	},

	load() {
		return Promise.all(this.cfgsections().map((id) => this.loadChildren(id).then((values) =>
			values.forEach((value, at) => this.children[at].cfgvalue(id, value)))));
	},

	parse() {
		return Promise.all(this.cfgsections().flatMap((id) => this.children.map((child) => child.parse(id))));
	},

	tab(name, title, description) {
		this.tabs ??= [];
		if (this.tabs.some((tab) => tab.name == name))
			throw new Error('the tab is there already');
		this.tabs.push({ name, title, description });
	},

	option(Option, ...given) {
		if (!options.AbstractValue.isSubclass(Option))
			L.raise('TypeError', 'Class must be a descendant of CBIAbstractValue');
		const made = Option.instantiate([this.map, this, ...given]);
		this.append(made);
		return made;
	},

	taboption(tab, ...given) {
		if (!this.tabs?.some((one) => one.name == tab))
			L.raise('ReferenceError', 'Associated tab not declared');
		const made = this.option(...given);
		made.tab = tab;
		return made;
	},

	getOption(name) {
		return name === undefined ? Object.fromEntries(this.children.map((child) => [child.option, child]))
			: this.children.find((child) => child.option == name) ?? null;
	},

	// Of one option, or of all by their names.
	$of(option, value) {
		if (option === undefined)
			return Object.fromEntries(this.children.map((child) => [child.option, value(child)]));
		const child = this.children.find((one) => one.option == option);
		return child ? value(child) : null;
	},

	cfgvalue(section, option) {
		return this.$of(option, (child) => child.cfgvalue(section));
	},

	// Before anything is shown, what is configured.
	formvalue(section, option) {
		return this.$of(option, (child) => this.map.root ? child.formvalue(section) : child.cfgvalue(section));
	},

	getUIElement(section, option) {
		return this.$of(option, (child) => child.getUIElement(section));
	},

	checkDepends() {
		return this.cfgsections().map((id) => this.children.map((child) => child.checkDepends(id)).some(Boolean)).some(Boolean);
	},

	async renderUCISection(id) {
		if (!this.tabs)
			return E(await this.renderChildren(null, id));
		return E(await Promise.all(this.tabs.map(async (tab) => E('div', { 'id': `container.${this.$config()}.${id}.${tab.name}`,
			'data-tab': tab.name, 'data-tab-title': tab.title, 'data-tab-active': String(tab.name === this.selected_tab) }, [
			tab.description ? E('div', { 'class': 'cbi-tab-descr' }, tab.description) : null,
			...await this.renderChildren(tab.name, id),
		]))));
	},

	$frame(attributes) {
		const tabbed = this.map.tabbed && !this.parentoption;
		const frame = E('div', { ...attributes, 'data-tab': tabbed ? this.sectiontype : null, 'data-tab-title': tabbed ? this.title || this.sectiontype : null });
		if (typeof this.title == 'string' && this.title != '')
			frame.appendChild(E('h3', {}, this.title));
		if (typeof this.description == 'string' && this.description != '')
			frame.appendChild(E('div', { 'class': 'cbi-section-descr' }, this.description));
		dom.bindClassInstance(frame, this);
		return frame;
	},

	$node(id, nodes) {
		return E('div', { 'id': `cbi-${this.$config()}-${id}`, 'class': `cbi-section-node${this.tabs ? ' cbi-section-node-tabbed' : ''}`,
			'data-section-id': id }, nodes);
	},

	handleAdd(event, name) {
		this.map.data.add(this.$config(), this.sectiontype, name);
		return this.map.save(null, true);
	},

	handleRemove(id) {
		this.map.data.remove(this.$config(), id);
		return this.map.save(null, true);
	},
});

const NamedSection = AbstractSection.extend({
	__init__(map, id, type, ...given) {
		this.super('__init__', [map, type, ...given]);
		this.section = id;
	},

	cfgsections() {
		return [this.section];
	},

	async render() {
		const there = await this.map.data.get(this.$config(), this.section);
		const frame = this.$frame({ 'class': 'cbi-section', 'id': there ? null : `cbi-${this.$config()}-${this.section}` });
		if (there)
			frame.appendChild(this.$node(this.section, await this.renderUCISection(this.section)));
		else if (this.addremove)
			frame.appendChild(E('button', { 'class': 'cbi-button cbi-button-add', 'disabled': this.map.readonly || null,
				'click': ui.createHandlerFn(this, (event) => this.handleAdd(event, this.section)) }, [_('Add')]));
		return frame;
	},
});

const TypedSection = AbstractSection.extend({
	async render() {
		const ids = this.cfgsections();
		return this.renderContents(ids, await Promise.all(ids.map((id) => this.renderUCISection(id))));
	},

	renderSectionPlaceholder: () => E('em', {}, _('This section contains no values yet')),

	renderSectionAdd(kind) {
		if (!this.addremove)
			return E([]);
		const title = this.titleFn('addbtntitle') ?? _('Add');
		if (this.anonymous)
			return E('div', { 'class': `cbi-section-create ${kind ?? ''}` }, [
				E('button', { 'class': 'cbi-button cbi-button-add', 'title': title, 'disabled': this.map.readonly || null,
					'click': ui.createHandlerFn(this, 'handleAdd') }, [title]),
			]);
		const name = E('input', { 'type': 'text', 'class': 'cbi-section-create-name', 'disabled': this.map.readonly || null });
		const button = E('button', { 'class': 'cbi-button cbi-button-add', 'title': title, 'disabled': '',
			'click': ui.createHandlerFn(this, (event) => name.classList.contains('cbi-input-invalid') ? null : this.handleAdd(event, name.value)) }, [title]);
		if (!this.map.readonly)
			ui.addValidator(name, 'uciname', true, (value) => {
				button.disabled = value === '';
				return value !== '' || _('Expecting: %s').format(_('non-empty value'));
			}, 'blur', 'keyup');
		return E('div', { 'class': `cbi-section-create ${kind ?? ''}` }, [E('div', {}, [name]), button]);
	},

	renderContents(ids, nodes) {
		const frame = this.$frame({ 'id': `cbi-${this.$config()}-${this.sectiontype}`, 'class': 'cbi-section' });
		ids.forEach((id, at) => {
			if (this.addremove)
				frame.appendChild(E('div', { 'class': 'cbi-section-remove right' }, E('button', { 'class': 'cbi-button', 'data-section-id': id,
					'disabled': this.map.readonly || null, 'click': ui.createHandlerFn(this, 'handleRemove', id) }, [_('Delete')])));
			if (!this.anonymous)
				frame.appendChild(E('h3', {}, id.toUpperCase()));
			frame.appendChild(this.$node(id, nodes[at]));
		});
		if (!ids.length)
			frame.appendChild(this.renderSectionPlaceholder());
		frame.appendChild(this.renderSectionAdd());
		return frame;
	},
});

const TableSection = TypedSection.extend({
	$columns() {
		return this.children.filter((child) => !child.modalonly);
	},

	renderUCISection(id) {
		return this.$cells(id);
	},

	async $cells(id) {
		return E(await Promise.all(this.$columns().map((child, at) => child.render(at, id, true))));
	},

	renderContents(ids, nodes) {
		const frame = this.$frame({ 'id': `cbi-${this.$config()}-${this.sectiontype}`, 'class': 'cbi-section cbi-tblsection' });
		const table = E('table', { 'class': 'table cbi-section-table' }, [this.renderHeaderRows()]);
		ids.forEach((id, at) => {
			const name = this.titleFn('sectiontitle', id) ?? id;
			const row = E('tr', { 'id': `cbi-${this.$config()}-${id}`, 'class': `tr cbi-section-table-row${this.rowcolors ? ` cbi-rowstyle-${at % 2 ? 2 : 1}` : ''}`,
				'data-sid': id, 'data-section-id': id, 'data-title': !this.anonymous || this.sectiontitle ? name : null }, [nodes[at], this.renderRowActions(id)]);
			table.appendChild(row);
		});
		if (!ids.length)
			table.appendChild(E('tr', { 'class': 'tr cbi-section-table-row placeholder' }, E('td', { 'class': 'td' }, this.renderSectionPlaceholder())));
		frame.appendChild(table);
		frame.appendChild(this.renderSectionAdd('cbi-tblsection-create'));
		return frame;
	},

	renderHeaderRows() {
		const kind = !this.anonymous || this.sectiontitle ? 'named' : 'anonymous';
		const actions = this.$editable || this.addremove || this.sortable || this.extedit;
		const last = actions ? E('th', { 'class': 'th cbi-section-table-cell cbi-section-actions' }) : null;
		const columns = this.$columns();
		const rows = [E('tr', { 'class': `tr cbi-section-table-titles ${kind}`, 'data-title': kind == 'named' ? _('Name') : null }, [
			...columns.map((child) => E('th', { 'class': 'th cbi-section-table-cell', 'style': child.width ? `width:${child.width}` : null }, child.title)), last,
		])];
		if (!this.nodescriptions && columns.some((child) => child.description))
			rows.push(E('tr', { 'class': `tr cbi-section-table-descr ${kind}` }, [
				...columns.map((child) => E('th', { 'class': 'th cbi-section-table-cell' }, child.description)), last?.cloneNode(),
			]));
		return E(rows);
	},

	renderRowActions(id) {
		if (!this.$editable && !this.addremove && !this.sortable && !this.extedit)
			return E([]);
		return E('td', { 'class': 'td cbi-section-table-cell nowrap cbi-section-actions' }, E('div', {}, [
			this.sortable ? E('button', { 'title': _('Drag to reorder'), 'class': 'cbi-button drag-handle center', 'disabled': this.map.readonly || null }, ['☰']) : null,
			typeof this.extedit == 'function' ? E('button', { 'title': _('Edit'), 'class': 'cbi-button cbi-button-edit', 'click': (event) => this.extedit(id, event) }, [_('Edit')]) : null,
			this.$editable ? E('button', { 'title': _('Edit'), 'class': 'cbi-button cbi-button-edit', 'click': ui.createHandlerFn(this, 'renderMoreOptionsModal', id) }, [_('Edit')]) : null,
			this.addremove ? E('button', { 'title': this.titleFn('removebtntitle', id) ?? _('Delete'), 'class': 'cbi-button cbi-button-remove',
				'disabled': this.map.readonly || null, 'click': ui.createHandlerFn(this, 'handleRemove', id) }, [_('Delete')]) : null,
		]));
	},
});

const GridSection = TableSection.extend({
	$editable: true,

	tab(name, title, description) {
		AbstractSection.prototype.tab.call(this, name, title, description);
	},

	async $cells(id) {
		return E(await Promise.all(this.$columns().map((child, at) => child.editable ? child.render(at, id, true) : this.renderTextValue(id, child))));
	},

	renderTextValue(id, child) {
		return E('td', { 'class': 'td cbi-value-field', 'data-title': this.stripTags(child.title).trim() || null,
			'data-name': child.option, 'data-widget': 'CBI.DummyValue' }, child.textvalue(id) ?? E('em', {}, _('none')));
	},

	parse() {
		return Promise.all(this.cfgsections().flatMap((id) => this.children.filter((child) => child.editable && !child.modalonly).map((child) => child.parse(id))));
	},

	// What the rows show as text has no fields that could depend on each other.
	checkDepends() {
		return this.cfgsections().map((id) => this.children.filter((child) => child.editable).map((child) => child.checkDepends(id)).some(Boolean)).some(Boolean);
	},

	handleAdd(event, name) {
		this.$added = this.map.data.add(this.$config(), this.sectiontype, name);
		return this.renderMoreOptionsModal(this.$added, event);
	},

	addModalOptions() {},

	cloneOptions(from, to) {
		for (const child of from.children) {
			if (child.modalonly === false)
				continue;
			const made = child.subsection
				? to.option(child.constructor, child.option, child.subsection.constructor, child.subsection.sectiontype, child.subsection.title, child.subsection.description)
				: to.option(child.constructor, child.option, child.title, child.description);
			for (const name of Object.keys(child))
				if (!['map', 'section', 'option', 'title', 'description', 'subsection', '$values'].includes(name))
					made[name] = child[name];
			if (child.subsection)
				this.cloneOptions(child.subsection, made.subsection);
		}
	},

	async renderMoreOptionsModal(id, event) {
		const map = this.map instanceof L.form.JSONMap ? new L.form.JSONMap(null, null, null) : new L.form.Map(this.map.config, null, null);
		map.data = this.map.data;
		map.readonly = this.map.readonly;
		const section = map.section(NamedSection, id, this.sectiontype);
		section.tabs = this.tabs;
		this.cloneOptions(this, section);
		await this.addModalOptions(section, id, event);
		const nodes = await map.render();
		const name = this.titleFn('modaltitle', id) ?? this.titleFn('sectiontitle', id) ?? (this.anonymous ? null : id);
		ui.showModal(name ?? this.map.title, [
			nodes,
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'cbi-button', 'click': ui.createHandlerFn(this, 'handleModalCancel', map) }, [_('Dismiss')]), ' ',
				E('button', { 'class': 'cbi-button cbi-button-positive important', 'disabled': map.readonly || null,
					'click': ui.createHandlerFn(this, 'handleModalSave', map) }, [_('Save')]),
			]),
		], 'cbi-modal');
	},

	async handleModalSave(map) {
		try {
			await map.save(null, true);
		}
		catch {
			// The fields say what is wrong with them.
			return;
		}
		this.$added = undefined;
		ui.hideModal();
		await this.map.load();
		await this.map.reset();
	},

	async handleModalCancel() {
		if (this.$added)
			this.map.data.remove(this.$config(), this.$added);
		this.$added = undefined;
		ui.hideModal();
	},
});

return baseclass.extend({ AbstractSection, NamedSection, TypedSection, TableSection, GridSection });
