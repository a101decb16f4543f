'use strict';
// Texts: String.prototype.format, _() and N_(), as every LuCI page has them before anything else runs.
(function() {
	const escapes = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&#34;', '\'': '&#39;' };
	const escaped = (value) => String(value).replace(/[<>&"']/g, (one) => escapes[one]);

	function duration(seconds) {
		const [d, h, m, s] = [86400, 3600, 60, 1].map((unit, at, units) =>
			Math.floor((at ? seconds % units[at - 1] : seconds) / unit));
		return [[d, 'd'], [h, 'h'], [m, 'm']].filter((one, at, all) => all.slice(0, at + 1).some(([n]) => n > 0))
			.map(([n, unit]) => `${n}${unit} `).join('') + `${s}s`;
	}

	function metric(value, base, digits) {
		const units = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
		let at = 0;
		for (value = Number(value) || 0; at < units.length - 1 && value > base; at++)
			value /= base;
		return at ? `${value.toFixed(digits)} ${units[at]}${base == 1024 ? 'i' : ''}` : `${value} `;
	}

	const conversions = {
		b: (v) => (Number(v) || 0).toString(2),
		c: (v) => String.fromCharCode(Number(v) || 0),
		d: (v) => String(Math.trunc(Number(v) || 0)),
		u: (v) => String(Math.floor(Math.abs(Number(v) || 0))),
		f: (v, digits) => digits === undefined ? String(parseFloat(v)) : parseFloat(v).toFixed(digits),
		o: (v) => (Number(v) || 0).toString(8),
		s: (v) => String(v),
		x: (v) => Math.floor(Number(v) || 0).toString(16),
		X: (v) => Math.floor(Number(v) || 0).toString(16).toUpperCase(),
		h: escaped,
		q: escaped,
		j: (v) => JSON.stringify(v),
		t: (v) => duration(Number(v) || 0),
		m: (v, digits, width) => metric(v, width >= 1000 ? width : 1000, digits ?? 2),
	};

	String.prototype.format = function(...values) {
		let at = 0;
		return this.replace(/%('.|0| )?(-)?(\d+)?(\.\d+)?([%bcdufosxXqhjtm])/g,
			(all, pad, left, width, digits, kind) => {
				if (kind == '%')
					return '%';
				const value = values[at++];
				if (kind == 's' && typeof value == 'object' && value !== null)
					throw new TypeError(`%s is given an object in "${this}"`);
				const text = conversions[kind](value ?? '', digits ? Number(digits.slice(1)) : undefined, Number(width));
				if (kind == 'm' || !width)
					return text;
				const fill = pad ? pad[pad.length - 1] : ' ';
				return left ? text.padEnd(width, fill) : text.padStart(width, fill);
			});
	};

	// A page can ask for marks around what was translated, which shows what was not.
	const marked = new URLSearchParams(window.location.search).has('marks');
	const translated = (text) => marked ? `\u2039${text}\u203a` : text;
	window._ = (text) => {
		if (typeof text != 'string')
			throw new TypeError('_() translates texts');
		(window.translatable ??= new Set()).add(text);
		return translated(text);
	};
	window.N_ = (n, one, many) => translated(n == 1 ? one : many);
})();
