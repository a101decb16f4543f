'use strict';
'require baseclass';
'require dom';
'require ui';
'require elements';

// Options of sections: what they read, how they are shown, and what they write.

const none = (value) => value === null || value === undefined;

// Whether two values are the same; the second may be an expression.
function equal(a, b) {
	if (b instanceof RegExp)
		return !none(a) && b.test(a);
	if (none(a) || none(b))
		return none(a) && none(b);
	if (typeof a != typeof b)
		return false;
	if (typeof a == 'object')
		return Object.keys({ ...a, ...b }).every((key) => equal(a[key], b[key]));
	return a == b;
}

const AbstractValue = elements.AbstractElement.extend({
	__init__(map, section, option, title, description) {
		this.super('__init__', [title, description]);
		Object.assign(this, { map, section, option, rmempty: true, default: null, size: null, optional: false, retain: false, deps: [] });
		this.$values = {};
	},

	$config() {
		return this.uciconfig ?? this.section.uciconfig ?? this.map.config;
	},

	$place(section) {
		return [this.$config(), this.ucisection ?? section, this.ucioption ?? this.option];
	},

	cbid(section) {
		return `cbid.${this.$config()}.${section}.${this.option}`;
	},

	depends(field, value) {
		this.deps.push(typeof field == 'string' ? { [field]: value } : field);
	},

	checkDepends(section) {
		const active = this.map.isDependencySatisfied(this.deps, this.$config(), section);
		return this.setActive(section, active);
	},

	load(section) {
		return this.map.data.get(...this.$place(section));
	},

	cfgvalue(section, value) {
		if (arguments.length == 2)
			this.$values[section] = value;
		return this.$values[section] ?? null;
	},

	getUIElement(section) {
		const node = this.map.findElement('id', this.cbid(section));
		const found = node ? dom.findClassInstance(node) : null;
		return found instanceof ui.AbstractElement ? found : null;
	},

	formvalue(section) {
		return this.getUIElement(section)?.getValue() ?? null;
	},

	textvalue(section) {
		const value = this.cfgvalue(section) ?? this.default;
		return value === null || value === undefined ? null : '%h'.format(Array.isArray(value) ? value.join(' ') : value);
	},

	validate: () => true,

	isValid(section) {
		return this.getUIElement(section)?.isValid() ?? true;
	},

	getValidationError(section) {
		return this.getUIElement(section)?.getValidationError() ?? '';
	},

	triggerValidation(section) {
		return this.getUIElement(section)?.triggerValidation() ?? true;
	},

	isActive(section) {
		const field = this.map.findElement('data-field', this.cbid(section));
		return field !== null && !field.classList.contains('hidden');
	},

	setActive(section, active) {
		const field = this.map.findElement('data-field', this.cbid(section));
		if (!field || field.classList.contains('hidden') != active)
			return false;
		field.classList.toggle('hidden', !active);
		return true;
	},

	$refuse(section) {
		return Promise.reject(new TypeError(`${_('Option "%s" contains an invalid input value.')
			.format(this.stripTags(this.title).trim() || this.option)} ${this.getValidationError(section)}`));
	},

	parse(section) {
		if (!this.isActive(section))
			return Promise.resolve(this.retain ? null : this.remove(section));
		if (!this.isValid(section))
			return this.$refuse(section);
		const value = this.formvalue(section);
		if (value === null || value === undefined || value == '') {
			if (!this.rmempty && !this.optional)
				return Promise.reject(new TypeError(_('Option "%s" must not be empty.').format(this.stripTags(this.title).trim() || this.option)));
			return Promise.resolve(this.remove(section));
		}
		return Promise.resolve(this.forcewrite || !equal(this.cfgvalue(section), value) ? this.write(section, value) : null);
	},

	write(section, value) {
		return this.map.data.set(...this.$place(section), value);
	},

	remove(section) {
		const place = this.$place(section).join('\0');
		// Another option that is shown writes the same place.
		if (this.section.children.some((other) => other !== this && other.ucioption && other.$place(section).join('\0') == place && other.isActive(section)))
			return;
		this.map.data.unset(...this.$place(section));
	},
});

const Value = AbstractValue.extend({
	value(key, label) {
		(this.keylist ??= []).push(String(key));
		(this.vallist ??= []).push(dom.elem(label) ? label : String(label ?? key));
	},

	transformChoices() {
		return this.keylist?.length ? Object.fromEntries(this.keylist.map((key, at) => [key, this.vallist[at]])) : null;
	},

	render(at, section, table) {
		return Promise.resolve(this.cfgvalue(section))
			.then((value) => this.renderWidget(section, at, value))
			.then((nodes) => this.renderFrame(section, table, at, nodes));
	},

	renderFrame(section, table, at, nodes) {
		const names = { 'data-name': this.option, 'data-widget': this.$widget };
		const field = { 'id': `cbi-${this.$config()}-${section}-${this.option}`, 'data-index': at, 'data-field': this.cbid(section) };
		let frame;
		if (table) {
			const inner = E('div', field, [nodes]);
			frame = E('td', { 'class': 'td cbi-value-field', 'data-title': this.stripTags(this.title).trim() || null, ...names }, inner);
		}
		else {
			const content = E('div', { 'class': 'cbi-value-field' }, [nodes]);
			if (typeof this.description == 'string' && this.description != '')
				dom.append(content, E('div', { 'class': 'cbi-value-description' }, this.description.trim()));
			const titled = typeof this.title == 'string' && this.title != '';
			frame = E('div', { 'class': 'cbi-value', ...field, ...names }, [
				titled ? E('label', { 'class': 'cbi-value-title', 'for': `widget.${this.cbid(section)}` }, this.title) : null,
				titled ? content : nodes,
			]);
		}
		if (this.deps.length)
			(table ? frame.firstElementChild : frame).classList.add('hidden');
		let former = this.cfgvalue(section);
		frame.addEventListener('widget-change', () => this.map.checkDepends());
		frame.addEventListener('widget-change', (event) => {
			const value = this.formvalue(section);
			if (typeof this.onchange == 'function' && !equal(value, former))
				this.onchange.call(this, event, section, value);
			former = value;
		});
		dom.bindClassInstance(frame, this);
		return frame;
	},

	$common(section) {
		return {
			id: this.cbid(section), sort: this.keylist, optional: this.optional || this.rmempty, datatype: this.datatype,
			placeholder: this.placeholder, validate: (value) => this.validate(section, value),
			disabled: this.readonly ?? this.map.readonly,
		};
	},

	$shown(value) {
		return value ?? this.default;
	},

	$widget: 'CBI.Value',

	renderWidget(section, at, value) {
		const shown = this.$shown(value), choices = this.transformChoices();
		const text = Array.isArray(shown) ? shown.join(' ') : shown;
		const empty = this.optional || this.rmempty ? E('em', {}, _('unspecified')) : _('-- Please choose --');
		return choices ? new ui.Combobox(text, choices, { ...this.$common(section), select_placeholder: this.placeholder ?? empty }).render()
			: new ui.Textfield(text, { ...this.$common(section), password: this.password }).render();
	},
});

const DynamicList = Value.extend({
	$widget: 'CBI.DynamicList',
	renderWidget(section, at, value) {
		return new ui.DynamicList(L.toArray(this.$shown(value)), this.transformChoices(), this.$common(section)).render();
	},
});

const ListValue = Value.extend({
	$widget: 'CBI.ListValue',
	__init__(...given) {
		this.super('__init__', given);
		Object.assign(this, { widget: 'select', orientation: 'horizontal' });
	},
	renderWidget(section, at, value) {
		return new ui.Select(this.$shown(value), this.transformChoices(), { ...this.$common(section), optional: this.optional,
			widget: this.widget, orientation: this.orientation, size: this.size }).render();
	},
});

const Flag = Value.extend({
	$widget: 'CBI.FlagValue',
	__init__(...given) {
		this.super('__init__', given);
		Object.assign(this, { enabled: '1', disabled: '0', default: '0' });
	},
	renderWidget(section, at, value) {
		const tooltip = typeof this.tooltip == 'function' ? this.tooltip(section) : this.tooltip;
		return new ui.Checkbox(this.$shown(value), { ...this.$common(section), value_enabled: this.enabled, value_disabled: this.disabled,
			tooltip, tooltipicon: this.tooltipicon }).render();
	},
	formvalue(section) {
		return this.getUIElement(section)?.isChecked() ? this.enabled : this.disabled;
	},
	textvalue(section) {
		return (this.cfgvalue(section) ?? this.default) == this.enabled ? _('Yes') : _('No');
	},
	parse(section) {
		if (!this.isActive(section))
			return Promise.resolve(this.retain ? null : this.remove(section));
		if (!this.isValid(section))
			return this.$refuse(section);
		const value = this.formvalue(section);
		return Promise.resolve(value == this.default && (this.optional || this.rmempty) ? this.remove(section) : this.write(section, value));
	},
});

const MultiValue = DynamicList.extend({
	$widget: 'CBI.MultiValue',
	__init__(...given) {
		this.super('__init__', given);
		this.placeholder = _('-- Please choose --');
	},
	renderWidget(section, at, value) {
		return new ui.Dropdown(L.toArray(this.$shown(value)), this.transformChoices(), { ...this.$common(section), multiple: true,
			create: this.create, select_placeholder: this.placeholder, display_items: this.display_size ?? this.size ?? 3 }).render();
	},
});

const TextValue = Value.extend({
	$widget: 'CBI.TextValue',
	value: null,
	renderWidget(section, at, value) {
		return new ui.Textarea(this.$shown(value), { ...this.$common(section), monospace: this.monospace, cols: this.cols, rows: this.rows,
			wrap: this.wrap }).render();
	},
});

const DummyValue = Value.extend({
	$widget: 'CBI.DummyValue',
	renderWidget(section, at, value) {
		const shown = this.$shown(value);
		const text = E('div', { 'style': this.hidden ? 'display:none' : null });
		if (this.href && !(this.readonly ?? this.map.readonly))
			text.appendChild(E('a', { 'href': this.href }));
		dom.append(text.lastChild ?? text, this.rawhtml ? shown : [shown]);
		return E([text, new ui.Hiddenfield(shown, { id: this.cbid(section) }).render()]);
	},
	remove() {},
	write() {},
});

const Button = Value.extend({
	$widget: 'CBI.ButtonValue',
	renderWidget(section) {
		const title = this.titleFn('inputtitle', section) ?? this.titleFn('title', section);
		return E([
			E('div', {}, [E('button', { 'class': `cbi-button cbi-button-${this.inputstyle ?? 'button'}`,
				'click': ui.createHandlerFn(this, (id, event) => this.onclick ? this.onclick(event, id) : this.map.save(), section),
				'disabled': (this.readonly ?? this.map.readonly) || null }, [title])]),
			new ui.Hiddenfield(this.cfgvalue(section), { id: this.cbid(section) }).render(),
		]);
	},
});

const HiddenValue = Value.extend({
	$widget: 'CBI.HiddenValue',
	renderWidget(section, at, value) {
		return new ui.Hiddenfield(this.$shown(value), { id: this.cbid(section) }).render();
	},
});

const SectionValue = Value.extend({
	$widget: 'CBI.ContainerValue',
	__init__(map, section, option, SubSection, ...given) {
		this.super('__init__', [map, section, option]);
		this.subsection = SubSection.instantiate([map, ...given]);
		this.subsection.parentoption = this;
	},
	load() {
		return this.subsection.load();
	},
	parse() {
		return this.subsection.parse();
	},
	renderWidget() {
		return this.subsection.render();
	},
	checkDepends(section) {
		this.subsection.checkDepends();
		return AbstractValue.prototype.checkDepends.call(this, section);
	},
	value() {},
	write() {},
	remove() {},
	cfgvalue: () => null,
	formvalue: () => null,
});

return baseclass.extend({ AbstractValue, Value, DynamicList, ListValue, Flag, MultiValue, TextValue, DummyValue, Button, HiddenValue,
	SectionValue, equal });
