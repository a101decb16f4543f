'use strict';
// Minifies scripts as LuCI's build does (luci.mk runs Douglas Crockford's jsmin over them): removes comments and white space
// that is not between two words. Written from the documentation of that program, with its limits: it knows a
// regular expression only by the character in front of it.

const WORD = /[A-Za-z0-9_$\\\u0080-\uffff]/;
const BEFORE_REGEXP = '(,=:[!&|?+-~*/{};\n';

function minify(source) {
	const text = source.replace(/\r\n?/g, '\n');
	let at = 0, out = '\n';

	// The next character that is no comment; of control characters only line ends are left.
	function next() {
		if (at >= text.length)
			return '';
		if (text.startsWith('//', at)) {
			at = text.indexOf('\n', at);
			at = at < 0 ? text.length : at;
			return next();
		}
		if (text.startsWith('/*', at)) {
			const end = text.indexOf('*/', at + 2);
			if (end < 0)
				throw new SyntaxError('a comment has no end');
			at = end + 2;
			return ' ';
		}
		const one = text[at++];
		return one == '\n' || one >= ' ' ? one : ' ';
	}

	// Copies up to the closing character, `\` and the one behind it as they are; in a regular expression also a class.
	function copy(close, what) {
		for (let inClass = false; ;) {
			const one = text[at++];
			if (one === undefined)
				throw new SyntaxError(`${what} has no end`);
			out += one;
			if (one == '\\')
				out += text[at++];
			else if (what == 'a regular expression' && one == '[')
				inClass = true;
			else if (inClass)
				inClass = one != ']';
			else if (one == close)
				return;
		}
	}

	const last = () => out[out.length - 1];

	for (let gap = ''; ;) {
		const isRegexp = text[at] == '/' && text[at + 1] != '/' && text[at + 1] != '*' && BEFORE_REGEXP.includes(gap.includes('\n') && !BEFORE_REGEXP.includes(last()) ? '\n' : last());
		const one = next();
		if (one == '')
			return out.trim();
		if (one == ' ' || one == '\n') {
			gap = one == '\n' || gap == '\n' ? '\n' : ' ';
			continue;
		}
		// A line end stays where it may end a statement, a space where it parts two words or two signs.
		if (gap == '\n' && (WORD.test(one) || '{[(+-!~'.includes(one) || '\'"`'.includes(one)) && (WORD.test(last()) || '}])+-"\'`'.includes(last())))
			out += '\n';
		else if (gap && ((WORD.test(last()) && WORD.test(one)) || ('+-*/'.includes(one) && one == last())))
			out += ' ';
		gap = '';
		out += one;
		if ('\'"`'.includes(one))
			copy(one, 'a text');
		else if (isRegexp)
			copy('/', 'a regular expression');
	}
}

module.exports = { minify };
