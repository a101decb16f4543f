'use strict';
'require baseclass';
'require owsync.live as live';
/* global live */

/*
 * A unified diff, as lines one below the other or as the two versions beside each other.
 */

/* The numbers at which a hunk starts: `@@ -OLD,COUNT +NEW,COUNT @@`. */
function starts(head) {
	const words = head.split(' ');
	const first = function(word) {
		return Number(String(word || '0').slice(1).split(',')[0]) || 0;
	};

	return { old: first(words[1]), now: first(words[2]) };
}

/* The lines of a diff: each with its kind, its text and its numbers. Lines before the first hunk only name the files. */
function parse(text) {
	const lines = [];
	let at = null;

	text.split('\n').forEach(function(line, number, all) {
		if (number === all.length - 1 && line === '')
			return;

		if (line.slice(0, 3) === '@@ ') {
			at = starts(line);
			lines.push({ kind: 'hunk', text: line });
		}
		else if (at === null) {
			return;
		}
		else if (line[0] === '+') {
			lines.push({ kind: 'added', text: line.slice(1), now: at.now++ });
		}
		else if (line[0] === '-') {
			lines.push({ kind: 'removed', text: line.slice(1), old: at.old++ });
		}
		else if (line[0] === '\\') {
			lines.push({ kind: 'note', text: line.slice(2) });
		}
		else {
			lines.push({ kind: 'same', text: line.slice(1), old: at.old++, now: at.now++ });
		}
	});

	return lines;
}

/* Removed and added lines that stand together, side by side. */
function pairs(lines) {
	const rows = [];
	let removed = [];
	let added = [];

	function flush() {
		const count = Math.max(removed.length, added.length);

		for (let at = 0; at < count; at++)
			rows.push({ left: removed[at], right: added[at] });

		removed = [];
		added = [];
	}

	lines.forEach(function(line) {
		if (line.kind === 'removed') {
			removed.push(line);
		}
		else if (line.kind === 'added') {
			added.push(line);
		}
		else {
			flush();
			rows.push(line.kind === 'same' ? { left: line, right: line } : { whole: line });
		}
	});
	flush();

	return rows;
}

/* What a line is, for those who see no colours. */
const MARKS = { added: '+', removed: '−', same: ' ', note: '', hunk: '' };

function numbered(number) {
	return live.node('td', { 'class': 'owsync-line' }, number === undefined ? '' : String(number));
}

function whole(line, columns) {
	return live.node('tr', { 'class': 'owsync-hunk' }, live.node('td', { 'colspan': columns }, line.text));
}

function unified(lines) {
	return live.node('table', { 'class': 'owsync-diff' },
		live.node('colgroup', {}, live.node('col', { 'style': 'width:4em' }), live.node('col', { 'style': 'width:4em' }),
			live.node('col', { 'style': 'width:2em' }), live.node('col')),
		live.node('tbody', {}, lines.map(function(line) {
			if (line.kind === 'hunk' || line.kind === 'note')
				return whole(line, 4);

			return live.node('tr', { 'class': 'owsync-' + line.kind },
				numbered(line.old), numbered(line.now),
				live.node('td', { 'class': 'owsync-mark' }, MARKS[line.kind]),
				live.node('td', {}, line.text));
		})));
}

function side(line, number) {
	const kind = line ? 'owsync-' + line.kind : 'owsync-none';

	return [
		live.node('td', { 'class': 'owsync-line ' + kind }, line ? String(line[number]) : ''),
		live.node('td', { 'class': 'owsync-mark ' + kind }, line ? MARKS[line.kind] : ''),
		live.node('td', { 'class': kind }, line ? line.text : '')
	];
}

function beside(lines) {
	return live.node('table', { 'class': 'owsync-diff' },
		live.node('colgroup', {}, live.node('col', { 'style': 'width:3.5em' }), live.node('col', { 'style': 'width:2em' }),
			live.node('col'), live.node('col', { 'style': 'width:3.5em' }), live.node('col', { 'style': 'width:2em' }),
			live.node('col')),
		live.node('tbody', {}, pairs(lines).map(function(row) {
			if (row.whole)
				return whole(row.whole, 6);

			return live.node('tr', {}, side(row.left, 'old').concat(side(row.right, 'now')));
		})));
}

return baseclass.extend({
	parse: parse,
	pairs: pairs,

	/* An element that shows a diff, `isBeside` or unified. */
	render: function(text, isBeside) {
		const lines = parse(text);

		if (lines.length === 0)
			return live.node('pre', { 'class': 'owsync-message' }, text);

		return live.node('div', { 'class': 'owsync-scroll owsync-tall', 'tabindex': '0', 'role': 'region',
			'aria-label': _('What changed') }, isBeside ? beside(lines) : unified(lines));
	}
});
