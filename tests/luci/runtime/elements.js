'use strict';
'require baseclass';
'require dom';

// What maps, sections and options have in common.

return baseclass.extend({
	AbstractElement: baseclass.extend({
		__init__(title, description) {
			this.title = title ?? '';
			this.description = description ?? '';
			this.children = [];
		},

		append(child) {
			this.children.push(child);
		},

		// Without any HTML.
		stripTags(text) {
			if (typeof text == 'string' && !/[<>]/.test(text))
				return text;
			const node = dom.elem(text) ? text : dom.parse(`<div>${text}</div>`);
			return (node.textContent ?? '').replace(/([ \t]*\n)+/g, '\n');
		},

		titleFn(name, ...given) {
			const property = this[name];
			const text = typeof property == 'function' ? property.apply(this, given)
				: typeof property == 'string' ? given.length ? property.format(...given) : property : null;
			const plain = text === null || text === undefined ? '' : this.stripTags(String(text)).trim();
			return plain === '' ? null : plain;
		},

		loadChildren(...given) {
			return Promise.all(this.children.map((child) => child.load(...given)));
		},

		renderChildren(tab, ...given) {
			return Promise.all(this.children.filter((child) => tab === null || child.tab === tab)
				.map((child, at) => child.render(at, ...given)));
		},
	}),
});
