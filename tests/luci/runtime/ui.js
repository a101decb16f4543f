'use strict';
'require baseclass';
'require dom';
'require uci';
'require rpc';
'require validation';
'require widgets';
'require dropdowns';

// Dialogs, notifications, tabs, tables and what is applied.

const callApply = rpc.declare({ object: 'uci', method: 'apply', params: ['timeout', 'rollback'], reject: true });
const callConfirm = rpc.declare({ object: 'uci', method: 'confirm', reject: true });

const modal = document.body.appendChild(E('div', { 'id': 'modal_overlay', 'tabindex': '-1', 'keydown': cancelModal },
	E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': 'true' })));
const tooltip = document.body.appendChild(E('div', { 'class': 'cbi-tooltip', 'id': 'tooltip' }));

// The first button of a dialog's last line is the one that leaves everything as it is.
function cancelModal(event) {
	if (event.key == 'Escape' && document.body.classList.contains('modal-overlay-active'))
		modal.querySelector('.modal > .right > button, .modal > .right > .btn')?.click();
}

const tabs = baseclass.extend({
	initTabGroup(nodes) {
		const panes = [...nodes ?? []].filter((node) => dom.matches(node, '[data-tab]'));
		const group = panes[0]?.parentNode;
		if (!group || group.getAttribute('data-initialized') == 'true')
			return;
		// The number of the tab that was open at this place of a page, whatever it is called there.
		const number = Number(JSON.parse(window.sessionStorage.getItem('tabs') ?? '{}')[this.getPathForPane(panes[0])] ?? 0);
		const open = panes.findLast((pane) => pane.getAttribute('data-tab-active') == 'true') ??
			(panes[number] && !this.isEmptyPane(panes[number]) ? panes[number] : panes.find((pane) => !this.isEmptyPane(pane)) ?? panes[0]);
		const menu = E('ul', { 'class': 'cbi-tabmenu' }, panes.map((pane) => E('li', {
			'class': pane === open ? 'cbi-tab' : 'cbi-tab-disabled', 'data-tab': pane.getAttribute('data-tab'),
			'style': this.isEmptyPane(pane) ? 'display:none' : null,
		}, E('a', { 'href': '#', 'click': (event) => this.switchTab(event) }, pane.getAttribute('data-tab-title')))));
		group.parentNode.insertBefore(menu, group);
		group.setAttribute('data-initialized', 'true');
		for (const pane of panes)
			pane.setAttribute('data-tab-active', String(pane === open));
		requestAnimationFrame(() => open.dispatchEvent(new CustomEvent('cbi-tab-active', { detail: { tab: open.getAttribute('data-tab') } })));
		this.updateTabs();
	},

	isEmptyPane: (pane) => dom.isEmpty(pane, (node) => node.classList.contains('cbi-tab-descr')),

	updateTabs(event, root) {
		for (const pane of (root ?? document).querySelectorAll('[data-tab-title]')) {
			const tab = pane.parentNode.previousElementSibling?.querySelector(`[data-tab="${pane.getAttribute('data-tab')}"]`);
			if (!tab)
				continue;
			tab.style.display = this.isEmptyPane(pane) ? 'none' : '';
			const faults = pane.querySelectorAll('.cbi-input-invalid').length;
			if (faults)
				tab.setAttribute('data-errors', faults);
			else
				tab.removeAttribute('data-errors');
		}
	},

	switchTab(event) {
		const tab = event.target.parentNode, menu = tab.parentNode, name = tab.getAttribute('data-tab');
		event.preventDefault();
		if (!tab.classList.contains('cbi-tab-disabled'))
			return;
		for (const one of menu.querySelectorAll('[data-tab]'))
			one.className = one === tab ? 'cbi-tab' : 'cbi-tab-disabled';
		for (const pane of menu.nextElementSibling.childNodes)
			if (dom.matches(pane, '[data-tab]')) {
				const open = pane.getAttribute('data-tab') == name;
				pane.setAttribute('data-tab-active', String(open));
				if (open)
					pane.dispatchEvent(new CustomEvent('cbi-tab-active', { detail: { tab: name } }));
			}
		const panes = [...menu.nextElementSibling.childNodes].filter((node) => dom.matches(node, '[data-tab]'));
		const places = JSON.parse(window.sessionStorage.getItem('tabs') ?? '{}');
		places[this.getPathForPane(panes[0])] = panes.findIndex((pane) => pane.getAttribute('data-tab') == name);
		window.sessionStorage.setItem('tabs', JSON.stringify(places));
	},

	// By the tabs and sections that contain a pane.
	getPathForPane(pane) {
		const path = [];
		for (let node = pane?.parentNode; node?.hasAttribute; node = node.parentNode)
			if (node.hasAttribute('data-tab') || node.hasAttribute('data-section-id'))
				path.unshift(node.getAttribute('data-tab') ?? node.getAttribute('data-section-id'));
		return path.join('/');
	},
});

// What was saved comes into force, and is confirmed as soon as the router answers.
const changes = baseclass.extend({
	async apply(checked) {
		this.displayStatus('notice spinning', E('p', {}, [_('Starting configuration apply…')]));
		try {
			await callApply(L.env.apply_rollback, checked !== false);
			if (checked !== false)
				await callConfirm();
		}
		catch (error) {
			// rpcd has nothing to apply: that is said, and no fault.
			if (!/ubus code 5/.test(error.message)) {
				this.displayStatus('warning', [E('h4', {}, [_('Configuration apply failed')]), E('p', {}, [error.message]),
					E('div', { 'class': 'right' }, [E('button', { 'class': 'btn', 'click': () => this.displayStatus(false) }, [_('Dismiss')])])]);
				return;
			}
			this.displayStatus('notice', E('p', {}, [_('There are no changes to apply')]));
			return this.$later(() => this.displayStatus(false));
		}
		document.dispatchEvent(new CustomEvent('uci-applied'));
		this.displayStatus('notice', E('p', {}, [_('Configuration changes applied.')]));
		this.$later(() => { window.location = window.location.href.split('#')[0]; });
	},

	// The message is read first. The page continues meanwhile, and what it still waits for then is lost.
	$later(act) {
		window.setTimeout(act, L.env.apply_display * 1000);
	},

	displayStatus(kind, content) {
		if (!kind)
			return document.body.classList.remove('apply-overlay-active', 'modal-overlay-active');
		dom.content(modal.firstElementChild, E('div', { 'class': `alert-message ${kind}` }, [content].flat()));
		document.body.classList.add('apply-overlay-active', 'modal-overlay-active');
	},

	setIndicator() {},
	renderChangeIndicator() {},
	init() {},
});

const Table = baseclass.extend({
	__init__(captions, options = {}, placeholder = undefined) {
		this.options = options;
		this.$placeholder = placeholder;
		this.id = options.id ?? `table${Math.floor(Math.random() * 0xffffffff).toString(16)}`;
		this.node = E('table', { 'id': this.id, 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles', 'click': (event) => this.handleSort(event) }, captions.map((caption, at) => caption === null ? null :
				E('th', { 'class': ['th', ...L.toArray(options.captionClasses?.[at])].join(' '),
					'data-sortable-row': options.sortable !== false && options.sortable?.[at] !== false ? 'true' : null }, [caption]))),
		]);
		this.node.classList.add(...L.toArray(options.classes));
		if (placeholder)
			this.$show(placeholder);
	},

	$show(placeholder) {
		this.node.appendChild(E('tr', { 'class': 'tr placeholder' }, E('td', { 'class': 'td' }, placeholder)));
	},

	update(rows, placeholder) {
		const shown = placeholder ?? this.options.placeholder ?? _('No data', 'empty table placeholder');
		const headings = [...this.node.firstElementChild.querySelectorAll('th')];
		this.$rows = rows;
		this.$placeholder = shown;
		const [column, descending] = this.$sorted ?? [];
		const ordered = column === undefined ? rows : [...rows].sort((a, b) =>
			(descending ? -1 : 1) * L.naturalCompare(this.$sortKey(a[column], column), this.$sortKey(b[column], column)));
		const made = ordered.map((row, at) => E('tr', { 'class': `tr cbi-rowstyle-${at % 2 ? 2 : 1}` }, headings.map((heading, n) => {
			const [sortable, cell] = Array.isArray(row[n]) ? row[n] : [null, row[n]];
			// A text is HTML here, as it is in LuCI.
			return E('td', { 'class': ['td', ...L.toArray(this.options.captionClasses?.[n])].join(' '),
				'data-title': heading.innerText.trim() || null, 'data-value': sortable }, cell ?? '');
		})));
		while (this.node.children.length > 1)
			this.node.lastElementChild.remove();
		this.node.append(...made);
		if (!made.length)
			this.$show(shown);
		return this.node;
	},

	render() {
		return this.node;
	},

	$sortKey(value) {
		const plain = Array.isArray(value) ? value[0] : value;
		return dom.elem(plain) ? plain.getAttribute('data-value') ?? plain.innerText.trim() : String(plain ?? '');
	},

	handleSort(event) {
		if (!event.target.matches('th[data-sortable-row]'))
			return;
		const headings = [...this.node.firstElementChild.querySelectorAll('th')];
		const descending = event.target.getAttribute('data-sort-direction') == 'asc';
		headings.forEach((one) => one.removeAttribute('data-sort-direction'));
		event.target.setAttribute('data-sort-direction', descending ? 'desc' : 'asc');
		this.$sorted = [headings.indexOf(event.target), descending];
		this.update(this.$rows ?? [], this.$placeholder);
	},
});

return baseclass.extend({
	__init__() {
		Object.assign(this, { AbstractElement: widgets.AbstractElement, Textfield: widgets.Textfield, Textarea: widgets.Textarea,
			Checkbox: widgets.Checkbox, Select: widgets.Select, Dropdown: dropdowns.Dropdown, Combobox: dropdowns.Combobox,
			ComboButton: dropdowns.ComboButton, DynamicList: widgets.DynamicList, Hiddenfield: widgets.Hiddenfield,
			Table, tabs: new tabs(), changes: new changes() });
	},

	showModal(title, content, ...classes) {
		const dialog = modal.firstElementChild;
		dialog.setAttribute('class', ['modal', ...classes].join(' '));
		dom.content(dialog, E('h4', {}, title));
		dom.append(dialog, content);
		document.body.classList.add('modal-overlay-active');
		modal.scrollTop = 0;
		modal.focus();
		return dialog;
	},

	hideModal() {
		document.body.classList.remove('modal-overlay-active');
	},

	addNotification(title, content, ...classes) {
		const where = document.querySelector('#maincontent') ?? document.body;
		const text = E('div', { 'style': 'flex:10' });
		const message = E('div', { 'class': ['alert-message', 'fade-in', ...classes].join(' '), 'style': 'display:flex' }, [
			text,
			E('div', { 'style': 'flex:1 1 auto; display:flex' }, [
				E('button', { 'class': 'btn', 'style': 'margin-left:auto; margin-top:auto', 'click': () => message.remove() }, [_('Dismiss')]),
			]),
		]);
		if (title !== null && title !== undefined)
			dom.append(text, E('h4', {}, title));
		dom.append(text, content);
		where.insertBefore(message, where.firstElementChild);
		return message;
	},

	addTimeLimitedNotification(title, content, timeout, ...classes) {
		const message = this.addNotification(title, content, ...classes);
		if (typeof timeout == 'number' && timeout > 0)
			window.setTimeout(() => message.remove(), timeout);
		return message;
	},

	showIndicator(id, label, handler, style) {
		const bar = document.querySelector('#indicators');
		let found = bar.querySelector(`[data-indicator="${id}"]`);
		if (!found)
			found = bar.appendChild(E('span', { 'data-indicator': id, 'data-clickable': handler ? 'true' : null, 'click': handler }));
		found.textContent = label;
		found.setAttribute('data-style', style == 'inactive' ? 'inactive' : 'active');
		return true;
	},

	hideIndicator(id) {
		const found = document.querySelector(`#indicators [data-indicator="${id}"]`);
		found?.remove();
		return Boolean(found);
	},

	itemlist(node, items, separators) {
		const between = Array.isArray(separators) ? separators : [separators ?? E('br')];
		const children = [];
		for (let at = 0; at < items.length; at += 2) {
			if (items[at + 1] === null || items[at + 1] === undefined)
				continue;
			children.push(E('span', { 'class': 'nowrap' }, [items[at] ? E('strong', {}, `${items[at]}: `) : '', items[at + 1]]));
			const one = between[(at / 2) % between.length];
			if (at + 2 < items.length)
				children.push(dom.elem(one) ? one.cloneNode(true) : one);
		}
		dom.content(node, children);
		return node;
	},

	// While the handler's promise is under way the button is disabled, and turns.
	createHandlerFn(self, handler, ...given) {
		const call = typeof handler == 'string' ? self[handler] : handler;
		if (typeof call != 'function')
			return null;
		return (event) => {
			const button = event.currentTarget;
			if (button?.classList && !dom.matches(button, 'form, .cbi-map')) {
				button.classList.add('spinning');
				if ('disabled' in button)
					button.disabled = true;
				button.blur?.();
			}
			return Promise.resolve(call.apply(self, [...given, event])).finally(() => {
				button?.classList?.remove('spinning');
				if (button && 'disabled' in button)
					button.disabled = false;
			});
		};
	},

	addValidator(field, type, optional, validate, ...events) {
		const check = validation.create(field, type, optional, validate, () => field.value);
		for (const name of events.length ? events : ['blur', 'keyup'])
			field.addEventListener(name, check);
		return check;
	},

	showTooltip(event) {
		const target = event.target.closest?.('[data-tooltip]');
		if (!target)
			return;
		tooltip.textContent = target.getAttribute('data-tooltip');
		const box = target.getBoundingClientRect();
		Object.assign(tooltip.style, { opacity: 1, left: `${box.left + window.scrollX}px`, top: `${box.bottom + window.scrollY}px` });
	},

	hideTooltip() {
		tooltip.removeAttribute('style');
	},

	pingDevice: () => Promise.resolve(),
	awaitReconnect() {},
});
