'use strict';
'require baseclass';
'require dom';
'require validation';

// The widgets of forms. Their classes and ids are those that LuCI's own have, since themes and views find them by these.

const AbstractElement = baseclass.extend({
	__init__(value, options) {
		this.value = value;
		this.options = { optional: true, ...options };
	},

	$id() {
		return this.options.id ? `widget.${this.options.id}` : null;
	},

	// Ties the node to this widget: the user's changes are reported, and checked.
	$bind(node, field, updates, changes) {
		this.node = node;
		dom.bindClassInstance(node, this);
		const { datatype, optional, validate } = this.options;
		const check = datatype || validate ? validation.create(field, datatype, optional, validate, () => this.$checked()) : null;
		if (check) {
			this.$check = check;
			node.addEventListener('validation-success', () => {
				this.$invalid = undefined;
			});
			node.addEventListener('validation-failure', (event) => {
				this.$invalid = event.detail.message;
			});
		}
		for (const name of updates)
			field.addEventListener(name, () => {
				check?.();
				node.dispatchEvent(new CustomEvent('widget-update', { bubbles: true }));
			});
		for (const name of changes)
			field.addEventListener(name, () => {
				node.setAttribute('data-changed', 'true');
				check?.();
				node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
			});
		check?.();
		return node;
	},

	$checked() {
		return this.getValue();
	},

	getValue() {
		return this.$input.value;
	},

	setValue(value) {
		this.$input.value = value ?? '';
		this.triggerValidation();
	},

	isChanged() {
		return this.node?.getAttribute('data-changed') == 'true';
	},

	isValid() {
		return this.$invalid === undefined;
	},

	getValidationError() {
		return this.$invalid ?? '';
	},

	setPlaceholder(text) {
		this.$input?.setAttribute('placeholder', text);
	},

	triggerValidation() {
		if (!this.$check)
			return false;
		const before = this.isValid();
		this.$check();
		return before != this.isValid();
	},

	render() {},
});

const Textfield = AbstractElement.extend({
	render() {
		const { options } = this;
		this.$input = E('input', {
			'id': this.$id(), 'name': options.name, 'type': options.password ? 'password' : 'text',
			'class': options.password ? 'cbi-input-password' : 'cbi-input-text',
			'readonly': options.readonly ? '' : null, 'disabled': options.disabled ? '' : null, 'maxlength': options.maxlength,
			'placeholder': options.placeholder, 'value': this.value ?? null, 'inputmode': options.inputmode,
		});
		const frame = E('div', { 'id': options.id });
		if (options.password)
			frame.appendChild(E('div', { 'class': 'control-group' }, [
				this.$input,
				E('button', { 'class': 'cbi-button cbi-button-neutral', 'title': _('Reveal/hide password'),
					'aria-label': _('Reveal/hide password'), 'click': (event) => {
						event.preventDefault();
						this.$input.type = this.$input.type == 'password' ? 'text' : 'password';
					} }, ['∗']),
			]));
		else
			frame.appendChild(this.$input);
		return this.$bind(frame, this.$input, ['keyup', 'blur'], ['change']);
	},
});

const Textarea = AbstractElement.extend({
	render() {
		const { options } = this;
		this.$input = E('textarea', { 'id': this.$id(), 'name': options.name, 'class': 'cbi-input-textarea', 'rows': options.rows,
			'cols': options.cols, 'wrap': options.wrap ? '' : null, 'placeholder': options.placeholder,
			'readonly': options.readonly ? '' : null, 'disabled': options.disabled ? '' : null,
			'style': `${options.cols ? '' : 'width:100%;'}${options.monospace ? 'font-family:monospace' : ''}` }, [this.value ?? '']);
		return this.$bind(E('div', { 'id': options.id }, [this.$input]), this.$input, ['keyup', 'blur'], ['change']);
	},
});

const Checkbox = AbstractElement.extend({
	__init__(value, options) {
		this.value = value;
		this.options = { value_enabled: '1', value_disabled: '0', ...options };
	},

	render() {
		const { options } = this;
		// Not the name that the option's label is for: LuCI brings the two together by a script, for the mouse alone.
		const id = `cb${Math.random().toString(16).slice(2, 10)}`;
		this.$input = E('input', { 'id': id, 'type': 'checkbox', 'value': options.value_enabled,
			'checked': this.value == options.value_enabled ? '' : null, 'disabled': options.disabled ? '' : null,
			'data-widget-id': this.$id() });
		const frame = E('div', { 'id': options.id, 'class': 'cbi-checkbox' }, [
			this.$input, E('label', { 'for': id }, []),
			options.tooltip ? E('label', { 'class': 'cbi-tooltip-container' }, [options.tooltipicon ?? 'ℹ️',
				E('div', { 'class': 'cbi-tooltip' }, [options.tooltip])]) : null,
		]);
		return this.$bind(frame, this.$input, ['click', 'blur'], ['change']);
	},

	isChecked() {
		return this.$input.checked;
	},

	getValue() {
		return this.isChecked() ? this.options.value_enabled : this.options.value_disabled;
	},

	setValue(value) {
		this.$input.checked = value == this.options.value_enabled;
	},
});

const Select = AbstractElement.extend({
	__init__(value, choices, options) {
		this.value = L.toArray(value);
		this.choices = choices ?? {};
		this.options = { widget: 'select', orientation: 'horizontal', ...options };
	},

	$keys() {
		return this.options.sort === true ? L.sortedKeys(this.choices) : this.options.sort || Object.keys(this.choices);
	},

	render() {
		const { options } = this;
		const frame = E('div', { 'id': options.id });
		const keys = this.$keys().slice();
		if (options.optional && !keys.includes(''))
			keys.unshift('');
		if (options.widget == 'select') {
			this.$input = E('select', { 'id': this.$id(), 'name': options.name, 'size': options.size, 'class': 'cbi-input-select',
				'multiple': options.multiple ? '' : null, 'disabled': options.disabled ? '' : null }, keys.map((key) =>
				E('option', { 'value': key, 'selected': this.value.includes(key) ? '' : null },
					[key == '' && !(key in this.choices) ? options.placeholder ?? _('-- Please choose --') : this.choices[key] ?? key])));
			frame.appendChild(this.$input);
			return this.$bind(frame, this.$input, ['change', 'blur'], ['change']);
		}
		for (const [at, key] of this.$keys().entries()) {
			const id = `${this.$id() ?? options.name ?? ''}.${at}`;
			frame.appendChild(E('span', {}, [
				E('input', { id, 'type': options.multiple ? 'checkbox' : 'radio', 'name': options.id ?? options.name, 'value': key,
					'class': options.multiple ? 'cbi-input-checkbox' : 'cbi-input-radio',
					'checked': this.value.includes(key) ? '' : null, 'disabled': options.disabled ? '' : null }),
				E('label', { 'for': id }, []), E('span', {}, [E('label', { 'for': id, 'class': 'choice' }, [this.choices[key] ?? key])]),
			]));
			frame.appendChild(options.orientation == 'horizontal' ? document.createTextNode(' \u00a0 ') : E('br'));
		}
		return this.$bind(frame, frame, ['click', 'focusout'], ['change']);
	},

	getValue() {
		if (this.options.widget == 'select')
			return this.options.multiple ? [...this.$input.selectedOptions].map((one) => one.value) : this.$input.value;
		const found = [...this.node.querySelectorAll('input:checked')].map((one) => one.value);
		return this.options.multiple ? found : found[0] ?? null;
	},

	setValue(value) {
		const wanted = L.toArray(value);
		for (const one of this.node.querySelectorAll('option, input')) {
			if (one.tagName == 'OPTION')
				one.selected = wanted.includes(one.value);
			else
				one.checked = wanted.includes(one.value);
		}
		if (value === '' && this.$input)
			this.$input.value = '';
		this.triggerValidation();
	},
});

const DynamicList = AbstractElement.extend({
	__init__(values, choices, options) {
		this.$values = L.toArray(values).map(String);
		this.choices = choices;
		this.options = { optional: true, ...options };
	},

	render() {
		const { options } = this;
		const add = () => {
			if (this.$input.classList.contains('cbi-input-invalid') || this.$input.value == '')
				return;
			this.addItem(null, this.$input.value);
			this.$input.value = '';
		};
		this.$input = E('input', { 'id': this.$id(), 'type': 'text', 'class': 'cbi-input-text', 'placeholder': options.placeholder,
			'disabled': options.disabled ? '' : null, 'keydown': (event) => {
				if (event.key == 'Enter') {
					event.preventDefault();
					add();
				}
			}, 'list': this.choices ? `${options.id}.choices` : null });
		const frame = E('div', { 'id': options.id, 'class': 'cbi-dynlist', 'disabled': options.disabled ? '' : null }, [
			E('div', { 'class': 'add-item control-group' }, [
				this.$input,
				this.choices ? E('datalist', { 'id': `${options.id}.choices` }, Object.keys(this.choices).map((one) => E('option', { 'value': one }))) : null,
				E('div', { 'class': 'btn cbi-button cbi-button-add', 'click': options.disabled ? null : add }, ['+']),
			]),
		]);
		this.node = frame;
		const values = this.$values;
		this.$values = [];
		for (const value of values)
			this.addItem(frame, value, null, false);
		return this.$bind(frame, this.$input, ['keyup', 'blur'], ['cbi-dynlist-change']);
	},

	// A field that is being filled in is checked; the items were, when they were added.
	$checked() {
		return this.$input.value;
	},

	addItem(frame, value, text, tell = true) {
		if (this.$values.includes(value) && !this.options.allowduplicates)
			return;
		this.$values.push(value);
		const item = E('div', { 'class': 'item', 'tabindex': '0', 'data-value': value,
			'click': (event) => {
				if (event.offsetX > item.clientWidth - 24)
					this.removeItem(null, item);
			},
			'keydown': (event) => {
				if (event.key == 'Backspace' || event.key == 'Delete')
					this.removeItem(null, item);
			} }, [E('span', {}, [this.choices?.[value] ?? value])]);
		this.node.insertBefore(item, this.node.lastElementChild);
		if (tell)
			this.$tell();
	},

	removeItem(frame, item) {
		if (this.options.disabled)
			return;
		this.$values = this.$values.filter((one) => one != item.getAttribute('data-value'));
		item.remove();
		this.$tell();
	},

	$tell() {
		this.$input.dispatchEvent(new CustomEvent('cbi-dynlist-change', { bubbles: true }));
	},

	// What stands in the field counts too, as if it had been added.
	getValue() {
		const rest = this.$input.value;
		return rest != '' && !this.$input.classList.contains('cbi-input-invalid') && !this.$values.includes(rest) ? [...this.$values, rest] : [...this.$values];
	},

	setValue(values) {
		for (const item of this.node.querySelectorAll('.item'))
			item.remove();
		this.$values = [];
		for (const value of L.toArray(values))
			this.addItem(null, String(value), null, false);
	},

	addChoices(values, labels) {
		this.choices = { ...this.choices, ...Object.fromEntries(L.toArray(values).map((one) => [one, labels?.[one] ?? one])) };
	},

	clearChoices() {
		this.choices = null;
	},
});

const Hiddenfield = AbstractElement.extend({
	render() {
		this.$input = E('input', { 'id': this.options.id, 'type': 'hidden', 'value': this.value ?? '' });
		this.node = this.$input;
		dom.bindClassInstance(this.$input, this);
		return this.$input;
	},
});

return baseclass.extend({ AbstractElement, Textfield, Textarea, Checkbox, Select, DynamicList, Hiddenfield });
