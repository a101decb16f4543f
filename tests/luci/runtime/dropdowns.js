'use strict';
'require baseclass';
'require dom';
'require widgets';

// The widgets that open a list: to choose from, to choose from or type, and buttons with more than one meaning.

const Dropdown = widgets.AbstractElement.extend({
	__init__(value, choices, options) {
		this.choices = { ...choices };
		this.options = { sort: true, multiple: Array.isArray(value), optional: true, select_placeholder: _('-- Please choose --'), ...options };
		this.$chosen = new Set(Array.isArray(value) ? value.map(String) : value === null || value === undefined || value === '' ? [] : [String(value)]);
		for (const one of this.$chosen)
			this.choices[one] ??= one;
	},

	$keys() {
		const keys = this.options.sort === true ? L.sortedKeys(this.choices) : [...this.options.sort || Object.keys(this.choices)];
		for (const one of this.$chosen)
			if (!keys.includes(one))
				keys.push(one);
		return keys;
	},

	render() {
		const { options } = this;
		this.$list = E('ul', {});
		const frame = E('div', { 'id': options.id, 'class': `cbi-dropdown ${options.$classes ?? ''}`.trim(),
			'multiple': options.multiple ? '' : null, 'optional': options.optional ? '' : null, 'disabled': options.disabled ? '' : null,
			'tabindex': options.disabled ? null : 0, 'role': options.$role ?? 'listbox', 'data-widget-id': this.$id() }, [
			this.$list, E('span', { 'class': 'open', 'aria-hidden': 'true' }, ['▾']),
		]);
		this.node = frame;
		this.$fill();
		frame.addEventListener('click', (event) => this.handleClick(event));
		frame.addEventListener('keydown', (event) => this.handleKeydown(event));
		document.addEventListener('click', (event) => {
			if (!frame.contains(event.target))
				this.closeDropdown();
		});
		return this.$bind(frame, frame, ['cbi-dropdown-close'], ['cbi-dropdown-change']);
	},

	$fill() {
		const { options } = this;
		const any = this.$chosen.size > 0;
		dom.content(this.$list, [
			...this.$keys().map((key) => E('li', { 'data-value': key, 'role': options.$role ? null : 'option',
				'selected': this.$chosen.has(key) ? '' : null, 'display': this.$chosen.has(key) ? '0' : null,
				'aria-selected': options.$role ? null : String(this.$chosen.has(key)) },
			[dom.elem(this.choices[key]) ? this.choices[key].cloneNode(true) : this.choices[key] ?? key])),
			options.create ? E('li', { 'class': 'create', 'data-value': '-' }, [E('input', { 'type': 'text', 'class': 'create-item-input',
				'placeholder': options.custom_placeholder ?? _('-- custom --'), 'aria-label': _('-- custom --'),
				'keydown': (event) => {
					if (event.key != 'Enter')
						return;
					event.preventDefault();
					event.stopPropagation();
					this.$choose(event.target.value);
				} })]) : null,
			any ? null : E('li', { 'class': 'placeholder', 'display': '0' }, [options.select_placeholder]),
		]);
	},

	handleClick(event) {
		if (this.options.disabled || event.target.closest('.create'))
			return;
		const item = event.target.closest('li[data-value]');
		if (!this.node.hasAttribute('open'))
			this.openDropdown();
		else if (item)
			this.$choose(item.getAttribute('data-value'));
		else
			this.closeDropdown();
	},

	handleKeydown(event) {
		if (event.target.matches('input'))
			return;
		const items = [...this.$list.querySelectorAll('li[data-value]')];
		const at = items.findIndex((one) => one.classList.contains('focus'));
		switch (event.key) {
		case 'Enter':
		case ' ':
			if (!this.node.hasAttribute('open'))
				this.openDropdown();
			else if (at >= 0)
				this.$choose(items[at].getAttribute('data-value'));
			break;
		case 'Escape':
			this.closeDropdown();
			break;
		case 'ArrowDown':
		case 'ArrowUp':
			items.forEach((one) => one.classList.remove('focus'));
			items[Math.max(0, Math.min(items.length - 1, at + (event.key == 'ArrowDown' ? 1 : -1)))]?.classList.add('focus');
			break;
		default:
			return;
		}
		event.preventDefault();
	},

	$choose(value) {
		if (value === '-' || value === '')
			return;
		this.choices[value] ??= value;
		if (!this.options.multiple)
			this.$chosen = new Set([value]);
		else if (!this.$chosen.delete(value))
			this.$chosen.add(value);
		this.$fill();
		if (!this.options.multiple)
			this.closeDropdown();
		this.node.dispatchEvent(new CustomEvent('cbi-dropdown-change', { bubbles: true, detail: { instance: this } }));
	},

	openDropdown() {
		this.node.setAttribute('open', '');
		this.$list.classList.add('dropdown');
	},

	closeDropdown() {
		if (!this.node.hasAttribute('open'))
			return;
		this.node.removeAttribute('open');
		this.$list.classList.remove('dropdown');
		this.node.dispatchEvent(new CustomEvent('cbi-dropdown-close', { bubbles: true }));
	},

	getValue() {
		const found = this.$keys().filter((key) => this.$chosen.has(key));
		return this.options.multiple ? found : found[0] ?? '';
	},

	setValue(value) {
		this.$chosen = new Set(L.toArray(value).map(String));
		this.$fill();
		this.triggerValidation();
	},

	addChoices(values, labels) {
		for (const value of L.toArray(values))
			this.choices[value] = labels?.[value] ?? value;
		this.$fill();
	},

	clearChoices(reset) {
		this.choices = {};
		if (reset)
			this.$chosen.clear();
		this.$fill();
	},
});

const Combobox = Dropdown.extend({
	__init__(value, choices, options) {
		this.super('__init__', [value, choices, { select_placeholder: _('-- Please choose --'), custom_placeholder: _('-- custom --'),
			sort: true, ...options, multiple: false, create: true }]);
	},
});

const ComboButton = Dropdown.extend({
	__init__(value, choices, options) {
		const { classes, ...more } = options;
		this.super('__init__', [value, choices, { sort: true, ...more, multiple: false, optional: false, $role: 'button',
			$classes: classes?.[value] ?? '' }]);
		this.$classes = classes;
	},

	handleClick(event) {
		if (this.options.disabled)
			return;
		const item = event.target.closest('li[data-value]');
		if (event.target.closest('.open') || (this.node.hasAttribute('open') && !item))
			return this.node.hasAttribute('open') ? this.closeDropdown() : this.openDropdown();
		if (this.node.hasAttribute('open')) {
			this.$chosen = new Set([item.getAttribute('data-value')]);
			this.node.setAttribute('class', `cbi-dropdown ${this.$classes?.[this.getValue()] ?? ''}`);
			this.$fill();
			return this.closeDropdown();
		}
		return this.options.click.call(this, event, this.getValue());
	},

	handleKeydown(event) {
		if (event.key == 'Enter' && !this.node.hasAttribute('open')) {
			event.preventDefault();
			return this.options.click.call(this, event, this.getValue());
		}
		return Dropdown.prototype.handleKeydown.call(this, event);
	},
});

return baseclass.extend({ Dropdown, Combobox, ComboButton });
