'use strict';
'require baseclass';

// Data types: what a field may hold, as an expression such as `or(ip4addr, hostname)`.

const octet = (text) => /^\d{1,3}$/.test(text) && Number(text) <= 255;
const number = (text) => /^-?\d+(\.\d+)?$/.test(text);
const whole = (text) => /^-?\d+$/.test(text);

function ip4(text) {
	const parts = text.split('.');
	return parts.length == 4 && parts.every(octet);
}

function ip6(text) {
	if (!/^[0-9a-fA-F:.]+$/.test(text) || !text.includes(':'))
		return false;
	try {
		return new URL(`http://[${text}]/`).hostname.length > 0;
	}
	catch {
		return false;
	}
}

function prefixed(address, bits) {
	return (text) => {
		const [ip, length, ...more] = text.split('/');
		return more.length == 0 && address(ip) && (length === undefined || (/^\d+$/.test(length) && Number(length) <= bits));
	};
}

const bytes = (text) => new TextEncoder().encode(text).length;
const hostname = (text) => text.length <= 253 && (/^[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?)*\.?$/).test(text) && !/^[\d.]+$/.test(text);
const port = (text) => whole(text) && Number(text) >= 0 && Number(text) <= 65535;
const host = (text) => hostname(text) || ip4(text) || ip6(text);

// Each takes the text and its arguments; an argument is a text, or what another expression says of the text.
const TYPES = {
	integer: [whole, 'valid integer value'],
	uinteger: [(v) => whole(v) && Number(v) >= 0, 'positive integer value'],
	float: [number, 'valid decimal value'],
	ufloat: [(v) => number(v) && Number(v) >= 0, 'positive decimal value'],
	ip4addr: [prefixed(ip4, 32), 'valid IPv4 address'],
	ip6addr: [prefixed(ip6, 128), 'valid IPv6 address'],
	ipaddr: [(v) => prefixed(ip4, 32)(v) || prefixed(ip6, 128)(v), 'valid IP address'],
	hostname: [hostname, 'valid hostname'],
	host: [host, 'valid hostname or IP address'],
	network: [host, 'valid UCI identifier, hostname or IP address range'],
	hostport: [(v) => {
		const [, name, number] = v.match(/^(.*):([^:]+)$/) ?? [];
		return name !== undefined && (hostname(name) || ip4(name)) && port(number);
	}, 'valid host:port'],
	ipaddrport: [(v) => {
		const [, name, number] = v.match(/^\[?([^\]]*)\]?:([^:]+)$/) ?? [];
		return name !== undefined && (ip4(name) || ip6(name)) && port(number);
	}, 'valid address:port'],
	port: [port, 'valid port value'],
	portrange: [(v) => v.split('-').every(port), 'valid port or port range'],
	hexstring: [(v) => /^(?:[0-9a-fA-F]{2})*$/.test(v), 'hexadecimal encoded value'],
	string: [() => true, 'text'],
	uciname: [(v) => /^[a-zA-Z0-9_]+$/.test(v), 'valid UCI identifier'],
	device: [() => true, 'valid device'],
	directory: [() => true, 'valid directory'],
	file: [() => true, 'valid file'],
	macaddr: [(v) => /^(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}$/.test(v), 'valid MAC address'],
	min: [(v, least) => number(v) && Number(v) >= Number(least), 'value greater or equal to %s'],
	max: [(v, most) => number(v) && Number(v) <= Number(most), 'value smaller or equal to %s'],
	range: [(v, least, most) => number(v) && Number(v) >= Number(least) && Number(v) <= Number(most), 'value between %s and %s'],
	length: [(v, size) => bytes(v) == Number(size), 'value with %s characters'],
	minlength: [(v, size) => bytes(v) >= Number(size), 'value with at least %s characters'],
	maxlength: [(v, size) => bytes(v) <= Number(size), 'value with at most %s characters'],
	rangelength: [(v, least, most) => bytes(v) >= Number(least) && bytes(v) <= Number(most), 'value between %s and %s characters'],
};

// Reads an expression: { name, given: [text or expression] }.
function compile(text) {
	let at = 0;
	const skip = () => {
		while (/\s/.test(text[at] ?? ''))
			at++;
	};
	function expression() {
		skip();
		const quoted = text.slice(at).match(/^(["'])((?:\\.|(?!\1).)*)\1/);
		if (quoted) {
			at += quoted[0].length;
			return quoted[2].replace(/\\(.)/g, '$1');
		}
		const [name] = text.slice(at).match(/^[^\s(),]+/) ?? [''];
		at += name.length;
		skip();
		if (text[at] != '(')
			return /^-?[\d.]+$/.test(name) ? name : { name, given: [] };
		const given = [];
		do {
			at++;
			given.push(expression());
			skip();
		} while (text[at] == ',');
		if (text[at] != ')')
			throw new SyntaxError(`the data type ${text} has no end`);
		at++;
		return { name, given };
	}
	const found = expression();
	skip();
	if (at < text.length)
		throw new SyntaxError(`the data type ${text} goes on where it should end`);
	return found;
}

// Why a text is none of this type; nothing where it is one.
function fault(type, text) {
	if (typeof type == 'string')
		return text == type ? undefined : `"${type}"`;
	switch (type.name) {
	case 'or': {
		const faults = type.given.map((one) => fault(one, text));
		return faults.some((one) => one === undefined) ? undefined : `${_('One of the following: %s').format(faults.join(', '))}`;
	}
	case 'and':
		return type.given.map((one) => fault(one, text)).find((one) => one !== undefined);
	case 'neg':
		return fault(type.given[0], text.replace(/^\s*!\s*/, ''));
	case 'list':
		return text.split(/\s+/).filter(Boolean).map((one) => fault(type.given[0], one)).find((one) => one !== undefined);
	}
	const known = TYPES[type.name];
	if (!known)
		throw new ReferenceError(`LuCI knows no data type ${type.name}`);
	const words = type.given.map((one) => typeof one == 'string' ? one : one.name);
	return known[0](text, ...words) ? undefined : _(known[1]).format(...words);
}

return baseclass.extend({
	// A function that checks a field and shows its fault; its result says whether there was none.
	create(field, type, optional, validate, value) {
		const compiled = compile(type || 'string');
		return () => {
			const text = value();
			const texts = Array.isArray(text) ? text : [text];
			let message;
			if (texts.every((one) => one === '' || one === null || one === undefined))
				message = optional ? undefined : _('Expecting: %s').format(_('non-empty value'));
			for (const one of texts)
				if (message === undefined && one !== '' && one !== null && one !== undefined) {
					const found = fault(compiled, String(one));
					message = found === undefined ? undefined : _('Expecting: %s').format(found);
				}
			if (message === undefined && validate) {
				const said = validate(text ?? '');
				message = said === true ? undefined : String(said);
			}
			field.classList.toggle('cbi-input-invalid', message !== undefined);
			if (message === undefined) {
				field.removeAttribute('data-tooltip');
				field.removeAttribute('aria-invalid');
			}
			else {
				field.setAttribute('data-tooltip', message);
				field.setAttribute('data-tooltip-style', 'error');
				field.setAttribute('aria-invalid', 'true');
			}
			field.dispatchEvent(new CustomEvent(message === undefined ? 'validation-success' : 'validation-failure',
				{ bubbles: true, detail: { message } }));
			return message === undefined;
		};
	},
});
