'use strict';
'require baseclass';

/*
 * Nodes that are made once and then kept up to date.
 *
 * Pages here are polled. What has not changed is not touched, so scroll position, selection, focus and open details stay
 * as the reader left them. Texts become text nodes and never HTML, whatever their source: a file or a router may be called
 * anything.
 */

function isSomething(child) {
	return child !== null && child !== undefined && child !== false;
}

return baseclass.extend({
	/* An element. Children are nodes, texts, or lists of both; null and false are none. */
	node: function(tag, attributes) {
		const children = [];

		for (let i = 2; i < arguments.length; i++)
			children.push.apply(children, Array.isArray(arguments[i]) ? arguments[i] : [ arguments[i] ]);

		return E(tag, attributes || {}, children.filter(isSomething));
	},

	/* The text of an element that holds nothing else. */
	text: function(node, text) {
		const wanted = isSomething(text) ? String(text) : '';

		if (node.textContent !== wanted)
			node.textContent = wanted;

		return node;
	},

	/* An attribute; none, if there is no value. */
	attribute: function(node, name, value) {
		if (!isSomething(value))
			node.removeAttribute(name);
		else if (node.getAttribute(name) !== String(value))
			node.setAttribute(name, value);

		return node;
	},

	/* Whether an element is seen. */
	shown: function(node, isShown) {
		const wanted = isShown ? '' : 'none';

		if (node.style.display !== wanted)
			node.style.display = wanted;

		return node;
	},

	/*
	 * The children of an element: one per item, in their order. `key` names an item, `make` makes its node, `update`
	 * brings a node up to date. A node stays as long as its item does.
	 */
	list: function(parent, items, key, make, update) {
		const before = parent.owsyncNodes || {};
		const now = {};
		let place = parent.firstElementChild;

		items.forEach(function(item) {
			const name = 'of ' + key(item);
			const node = before[name] || make(item);

			now[name] = node;
			update(node, item);

			if (node === place)
				place = place.nextElementSibling;
			else
				parent.insertBefore(node, place);
		});

		Object.keys(before).forEach(function(name) {
			if (!now[name] && before[name].parentNode === parent)
				parent.removeChild(before[name]);
		});

		parent.owsyncNodes = now;

		return parent;
	},

	/*
	 * A table. A column has a `title`, `make` for what its cells hold, and `update` for keeping that up to date. Where
	 * there is little room the theme shows a row as a block, each cell with its title.
	 */
	table: function(columns, placeholder) {
		const self = this;
		const head = this.node('tr', { 'class': 'tr table-titles' }, columns.map(function(column) {
			return self.node('th', { 'class': 'th ' + (column.classes || ''), 'scope': 'col' }, column.title);
		}));
		const empty = this.node('tr', { 'class': 'tr placeholder' },
			this.node('td', { 'class': 'td', 'colspan': columns.length }, this.node('em', {}, placeholder)));
		const body = this.node('tbody', {});
		const table = this.node('table', { 'class': 'table' }, this.node('thead', {}, head), body,
			this.node('tfoot', {}, empty));

		function makeRow(item) {
			return self.node('tr', { 'class': 'tr' }, columns.map(function(column) {
				return self.node('td', { 'class': 'td ' + (column.classes || ''), 'data-title': column.title },
					column.make ? column.make(item) : null);
			}));
		}

		function updateRow(row, item) {
			columns.forEach(function(column, at) {
				const cell = row.children[at];

				column.update(column.make ? cell.firstElementChild : cell, item);
			});
		}

		return {
			node: table,

			update: function(items, key) {
				self.list(body, items, key, makeRow, updateRow);
				self.shown(empty, items.length === 0);
			}
		};
	},

	/* What a page of owsync needs of its own: arrangement, and the colours of differences, for every theme. */
	style: function() {
		return this.node('link', { 'rel': 'stylesheet', 'href': L.resource('owsync/style.css') });
	}
});
