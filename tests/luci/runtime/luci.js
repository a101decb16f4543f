'use strict';
// The stand-in for LuCI's own runtime: classes, the DOM, requests, polling, modules and views. Written for these tests; what
// it offers has the names and the effects that LuCI's documentation gives them, and nothing more.
(function() {
	const { end, FILE, APP } = window.strict;
	const { env } = window;

	// Classes: `extend` makes a class from properties, whose constructor calls __init__.
	// Whose text is being run: the classes it makes are its own.
	let loading;

	function Class() {}
	Object.setPrototypeOf(Class.prototype, end);

	function derive(parent, properties) {
		const Derived = function(...given) {
			if (this.__init__)
				this.__init__.apply(this, given);
		};
		Derived.prototype = Object.create(parent.prototype);
		for (const name of Object.keys(properties ?? {}))
			Object.defineProperty(Derived.prototype, name,
				{ value: properties[name], writable: true, configurable: true, enumerable: true });
		for (const [name, value] of [['constructor', Derived], ['__class__', Derived]])
			Object.defineProperty(Derived.prototype, name, { value, enumerable: false, configurable: true });
		Object.defineProperty(Derived.prototype, loading?.app ? APP : FILE, { value: loading?.file ?? 'luci', enumerable: false });
		Derived.__base__ = parent;
		Derived.extend = (more) => derive(Derived, more);
		Derived.singleton = (more, ...given) => new (derive(Derived, more))(...given);
		Derived.instantiate = (given) => new Derived(...given);
		Derived.isSubclass = (other) => typeof other == 'function' && other.prototype instanceof Derived;
		return Derived;
	}

	const bare = derive(Class, {
		// The rest of some arguments, with more in front of it.
		varargs(list, offset, ...more) {
			return [...more, ...Array.prototype.slice.call(list, offset ?? 0)];
		},

		// Calls the method that this class's own one stands in front of.
		super(name, ...given) {
			const depth = (this.$depth ??= {});
			let proto = depth[name] ?? Object.getPrototypeOf(this);
			while (!Object.prototype.hasOwnProperty.call(proto, name))
				proto = Object.getPrototypeOf(proto);
			const above = Object.getPrototypeOf(proto);
			const method = above[name];
			if (typeof method != 'function')
				return null;
			const before = depth[name];
			depth[name] = above;
			try {
				return method.apply(this, given.length == 1 && (Array.isArray(given[0]) || isArguments(given[0])) ? [...given[0]] : given);
			}
			finally {
				depth[name] = before;
			}
		},

		toString() {
			return '[object Class]';
		},
	});

	const isArguments = (value) => Object.prototype.toString.call(value) == '[object Arguments]';

	// The DOM. A text that is the whole content is HTML, as in LuCI; in a list it is a text.
	const instances = new Map();
	let numbered = 0;

	const dom = new (derive(bare, {
		elem: (value) => typeof value == 'object' && value !== null && 'nodeType' in value,
		parse(html) {
			return new DOMParser().parseFromString(html, 'text/html').body.firstChild;
		},
		matches(node, selector) {
			return this.elem(node) && typeof node.matches == 'function' && node.matches(selector);
		},
		parent(node, selector) {
			return this.elem(node) && node.closest ? node.closest(selector) : null;
		},
		append(node, children) {
			if (!this.elem(node))
				return null;
			if (Array.isArray(children)) {
				for (const child of children)
					if (this.elem(child))
						node.appendChild(child);
					else if (child !== null && child !== undefined)
						node.appendChild(document.createTextNode(`${child}`));
			}
			else if (typeof children == 'function')
				return this.append(node, children(node));
			else if (this.elem(children))
				node.appendChild(children);
			else if (children !== null && children !== undefined)
				node.innerHTML = `${children}`;
			else
				return null;
			return node.lastChild;
		},
		content(node, children) {
			if (!this.elem(node))
				return null;
			for (const kept of node.querySelectorAll('[data-idref]'))
				instances.delete(kept.getAttribute('data-idref'));
			while (node.firstChild)
				node.removeChild(node.firstChild);
			return this.append(node, children);
		},
		attr(node, name, value) {
			if (!this.elem(node))
				return null;
			for (const [key, one] of Object.entries(typeof name == 'object' ? name : { [name]: value })) {
				if (one === null || one === undefined)
					continue;
				if (typeof one == 'function')
					node.addEventListener(key, one);
				else
					node.setAttribute(key, typeof one == 'object' ? JSON.stringify(one) : one);
			}
		},
		create(what, ...rest) {
			const attributes = rest[0] instanceof Object && !Array.isArray(rest[0]) && !this.elem(rest[0]) && typeof rest[0] != 'function'
				? rest.shift() : null;
			let node;
			if (this.elem(what))
				node = what;
			else if (Array.isArray(what)) {
				node = document.createDocumentFragment();
				this.append(node, what);
				return node;
			}
			else if (what.startsWith('<'))
				node = this.parse(what);
			else
				node = document.createElement(what);
			if (attributes)
				this.attr(node, attributes);
			this.append(node, rest[0]);
			return node;
		},
		data(node, key, value) {
			const id = node?.getAttribute('data-idref');
			const kept = id ? instances.get(id) : undefined;
			if (value === undefined)
				return kept?.[key];
			const where = kept ?? {};
			where[key] = value;
			if (!kept) {
				node.setAttribute('data-idref', String(++numbered));
				instances.set(String(numbered), where);
			}
			return value;
		},
		bindClassInstance(node, instance) {
			this.data(node, '_class', instance);
			return instance;
		},
		findClassInstance(node) {
			for (; this.elem(node) && node.getAttribute; node = node.parentNode) {
				const found = this.data(node, '_class');
				if (found)
					return found;
			}
			return null;
		},
		callClassMethod(node, method, ...given) {
			const instance = this.findClassInstance(node);
			return instance && typeof instance[method] == 'function' ? instance[method](...given) : null;
		},
		isEmpty(node, ignore) {
			return ![...node?.children ?? []].some((child) => !child.classList.contains('hidden') && !ignore?.(child));
		},
	}))();

	const E = (...given) => dom.create(...given);

	// Requests.
	const Response = derive(bare, {
		__init__(xhr, text) {
			Object.assign(this, { ok: xhr.ok, status: xhr.status, statusText: xhr.statusText, headers: xhr.headers });
			this.$text = text;
		},
		json() {
			return JSON.parse(this.$text);
		},
		text() {
			return this.$text;
		},
	});

	const Request = new (derive(bare, {
		async request(url, options = {}) {
			const body = options.content;
			const answer = await fetch(url, {
				method: options.method ?? 'GET',
				body: body === undefined ? undefined : typeof body == 'string' ? body : JSON.stringify(body),
				headers: options.headers,
				cache: 'no-store',
				signal: options.timeout ? AbortSignal.timeout(options.timeout) : undefined,
			});
			return new Response(answer, await answer.text());
		},
		get(url, options) {
			return this.request(url, { method: 'GET', ...options });
		},
		post(url, content, options) {
			return this.request(url, { method: 'POST', content, ...options });
		},
	}))();

	// Polling: every function at its interval in seconds, none while another call of it is under way.
	const Poll = new (derive(bare, {
		__init__() {
			this.$queue = [];
		},
		add(call, interval) {
			if (typeof call != 'function' || (interval !== undefined && !(interval > 0)))
				throw new TypeError('poll.add() takes a function and seconds');
			if (this.$queue.some((one) => one.call === call))
				return false;
			this.$queue.push({ call, interval: (interval ?? env.pollinterval) * (env.pollspeed ?? 1), next: 0, runs: false });
			if (env.pollinterval && !this.active())
				this.start();
			return true;
		},
		remove(call) {
			const length = this.$queue.length;
			this.$queue = this.$queue.filter((one) => one.call !== call);
			if (!this.$queue.length)
				this.stop();
			return this.$queue.length != length;
		},
		start() {
			if (this.active() || !this.$queue.length)
				return false;
			this.$timer = window.setInterval(() => this.step(), 100);
			this.step();
			document.dispatchEvent(new CustomEvent('poll-start'));
			return true;
		},
		stop() {
			if (!this.active())
				return false;
			window.clearInterval(this.$timer);
			delete this.$timer;
			document.dispatchEvent(new CustomEvent('poll-stop'));
			return true;
		},
		step() {
			for (const one of this.$queue) {
				if (one.runs || Date.now() < one.next)
					continue;
				one.runs = true;
				one.next = Date.now() + one.interval * 1000;
				Promise.resolve().then(() => one.call()).catch((error) => window.faults.push(`a poll fails: ${error.stack}`))
					.finally(() => { one.runs = false; window.polls = (window.polls ?? 0) + 1; });
			}
		},
		active() {
			return this.$timer !== undefined;
		},
	}))();

	// Views.
	const View = derive(bare, {
		__init__() {
			const page = document.getElementById('view');
			dom.content(page, E('div', { 'class': 'spinning' }, _('Loading view…')));
			return Promise.resolve(this.load())
				.then((...data) => Promise.resolve(this.render(...data)))
				.then((nodes) => {
					dom.content(page, nodes);
					dom.append(page, this.addFooter());
					document.body.dataset.viewed = 'yes';
				})
				.catch((error) => L.error(error));
		},
		load() {},
		render() {},
		handleSave() {
			return Promise.all([...document.getElementById('maincontent').querySelectorAll('.cbi-map')]
				.map((map) => dom.callClassMethod(map, 'save')));
		},
		handleSaveApply(ev, mode) {
			return this.handleSave(ev).then(() => L.ui.changes.apply(mode == '0'));
		},
		handleReset() {
			return Promise.all([...document.getElementById('maincontent').querySelectorAll('.cbi-map')]
				.map((map) => dom.callClassMethod(map, 'reset')));
		},
		addFooter() {
			const maps = [...document.getElementById('view').querySelectorAll('.cbi-map')].map((map) => dom.findClassInstance(map)).filter(Boolean);
			const readonly = maps.length ? maps.every((map) => map.readonly) : !L.hasViewPermission();
			if (!this.handleSaveApply && !this.handleSave && !this.handleReset)
				return E([]);
			return E('div', { 'class': 'cbi-page-actions' }, [
				this.handleSaveApply ? new L.ui.ComboButton('0', { 0: [_('Save & Apply')], 1: [_('Apply unchecked')] }, {
					classes: { 0: 'btn cbi-button cbi-button-apply important', 1: 'btn cbi-button cbi-button-negative important' },
					click: L.ui.createHandlerFn(this, 'handleSaveApply'),
					disabled: readonly || null,
				}).render() : E([]), ' ',
				this.handleSave ? E('button', { 'class': 'btn cbi-button cbi-button-save', 'click': L.ui.createHandlerFn(this, 'handleSave'),
					'disabled': readonly || null }, [_('Save')]) : E([]), ' ',
				this.handleReset ? E('button', { 'class': 'btn cbi-button cbi-button-reset', 'click': L.ui.createHandlerFn(this, 'handleReset'),
					'disabled': readonly || null }, [_('Reset')]) : E([]),
			]);
		},
	});

	// Modules.
	const modules = new Map();
	const OWN = ['rpc', 'uci', 'validation', 'ui', 'form', 'fs'];
	// Parts of the stand-in that LuCI has in one file.
	const PARTS = { widgets: 'ui', dropdowns: 'ui', elements: 'form', options: 'form', sections: 'form' };

	// The directives in front of a module's first statement: [[name, as], ...].
	function directives(source) {
		const found = [];
		let rest = source;
		for (;;) {
			rest = rest.replace(/^(?:\s+|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/|;)*/, '');
			const directive = rest.match(/^(['"])([^'"\n]*)\1/);
			if (!directive)
				return found;
			const required = directive[2].match(/^require[ \t]+(\S+)(?:[ \t]+as[ \t]+([a-zA-Z_]\S*))?$/);
			if (required)
				found.push([required[1], required[2] ?? required[1].replace(/[^a-zA-Z0-9_]/g, '_')]);
			else if (!/^use[ \t]+strict$/.test(directive[2]))
				return found;
			rest = rest.slice(directive[0].length);
		}
	}

	async function load(name, path) {
		if (path.includes(name))
			L.raise('DependencyError', 'Circular dependency: %s', [...path, name].join(' requires '));
		const url = `${env.resource}/${name.replaceAll('.', '/')}.js`;
		const answer = await Request.get(url);
		if (!answer.ok)
			L.raise('NetworkError', 'HTTP error %d while loading class file "%s"', answer.status, url);
		const source = answer.text();
		const required = directives(source);
		const given = await Promise.all(required.map(([one]) => L.require(one, [...path, name])));
		const own = OWN.includes(name), file = own ? name : PARTS[name];
		if (PARTS[name] && !OWN.includes(path.at(-1)) && !PARTS[path.at(-1)])
			L.raise('NetworkError', 'LuCI has no module %s', name);
		const before = loading;
		loading = { file, app: !file };
		let made;
		try {
			const names = required.map(([, as]) => as);
			// As in LuCI, the file's text is the body of a function; a fault in it names the file.
			const factory = window.eval(`(function(window, document, L${names.map((one) => `, ${one}`).join('')}) { ${source} })\n//# sourceURL=${url}\n`);
			const Made = factory.call(factory, window, document, L, ...given);
			if (!bare.isSubclass(Made))
				L.raise('TypeError', '"%s" factory yields invalid constructor', name);
			made = new Made();
		}
		finally {
			loading = before;
		}
		const parts = name.split('.');
		if (own)
			L[parts[0]] = made;
		return made;
	}

	const L = new (derive(bare, {
		__init__() {
			Object.assign(this, { env, Class: bare, Request, Poll, dom, view: View });
		},
		raise(type, format, ...given) {
			const error = type instanceof Error ? type : new Error(format.format(...given));
			if (!(type instanceof Error))
				error.name = type ?? 'Error';
			throw error;
		},
		error(type, format, ...given) {
			try {
				this.raise(type, format, ...given);
			}
			catch (error) {
				window.faults.push(`${error.name}: ${error.stack}`);
				if (this.ui)
					this.ui.addNotification(error.name, E('pre', {}, [error.message]), 'danger');
				else
					dom.content(document.getElementById('maincontent'), E('pre', { 'class': 'alert-message error' }, [error.message]));
				throw error;
			}
		},
		bind: (call, self, ...given) => Function.prototype.bind.call(call, self, ...given),
		require(name, path = []) {
			if (!modules.has(name))
				modules.set(name, load(name, path));
			return modules.get(name);
		},
		fspath: (...parts) => [env.documentroot, ...parts].join('/'),
		path(prefix, parts) {
			const url = [prefix ?? ''];
			for (const part of [...parts].flat())
				if (/^(?:[a-zA-Z0-9_.%,;-]+\/)*[a-zA-Z0-9_.%,;-]+$/.test(part))
					url.push('/', part);
			if (url.length == 1)
				url.push('/');
			return url.join('');
		},
		url(...parts) {
			return this.path(env.scriptname, parts);
		},
		resource(...parts) {
			return this.path(env.resource, parts);
		},
		media(...parts) {
			return this.path(env.media, parts);
		},
		location() {
			return this.path(env.scriptname, env.requestpath);
		},
		isObject: (value) => value !== null && typeof value == 'object',
		isArguments,
		sortedKeys: (object, key, mode) => Object.keys(object ?? {}).sort((a, b) => {
			const [one, other] = key ? [object[a][key], object[b][key]] : [a, b];
			return mode == 'num' ? Number(one) - Number(other) : L.naturalCompare(one, other);
		}),
		naturalCompare: new Intl.Collator(undefined, { numeric: true }).compare,
		sortedArray: (list) => [...list].sort(),
		toArray(value) {
			if (value === null || value === undefined)
				return [];
			if (Array.isArray(value))
				return value;
			if (isArguments(value))
				return [...value];
			if (typeof value == 'object')
				return [value];
			const text = String(value).trim();
			return text == '' ? [] : text.split(/\s+/);
		},
		resolveDefault: (value, instead) => Promise.resolve(value).then(
			(found) => typeof instead == 'function' ? (found ?? instead()) : found ?? instead, () => instead),
		hasViewPermission() {
			return !env.nodespec || !('readonly' in env.nodespec) ? null : !env.nodespec.readonly;
		},
		hasSystemFeature: () => false,
		notifySessionExpiry() {
			window.expired = true;
		},
		get: (...given) => Request.get(...given),
		post: (...given) => Request.post(...given),
	}))();

	for (const [name, instance] of [['baseclass', bare], ['dom', dom], ['poll', Poll], ['request', Request], ['view', View]])
		modules.set(name, Promise.resolve(instance));

	window.faults = [];
	window.addEventListener('error', ({ error, message }) => window.faults.push(error?.stack ?? message));
	window.addEventListener('unhandledrejection', ({ reason }) => window.faults.push(`not caught: ${reason?.stack ?? reason}`));
	window.L = L;
	window.E = E;

	document.addEventListener('DOMContentLoaded', async () => {
		for (const name of OWN)
			await L.require(name);
		if (env.view)
			await L.require(`view.${env.view.replaceAll('/', '.')}`);
		for (const include of env.includes ?? [])
			await window.showInclude(include);
	});
})();
