'use strict';
'require baseclass';

/*
 * What the values of options may be, exactly as the daemon reads them.
 *
 * A check takes a text that is not empty, and says true or what is wrong with it.
 */

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };
const SIZES = { K: 1024, M: 1048576, G: 1073741824 };

/* Lengths that the daemon bounds. */
const LABEL_MAX = 64;
const PATTERN_MAX = 1024;
const HOST_MAX = 253;

/* A character in the name of a network or a firewall zone. */
const NAME = new RegExp('[A-Za-z0-9_.-]');

function isDigits(text) {
	return text !== '' && Array.from(text).every(function(character) {
		return character >= '0' && character <= '9';
	});
}

function isOf(text, allowed) {
	return Array.from(text).every(function(character) {
		return allowed.test(character);
	});
}

/* A number with a unit behind it, or without. */
function amount(text, units) {
	const last = text.slice(-1);
	const factor = units[last];
	const digits = factor === undefined ? text : text.slice(0, -1);

	if (!isDigits(digits) || digits.length > 15)
		return null;

	return Number(digits) * (factor === undefined ? 1 : factor);
}

function bytes(text) {
	return new TextEncoder().encode(text).length;
}

function isIPv4(text) {
	const parts = text.split('.');

	return parts.length === 4 && parts.every(function(part) {
		return isDigits(part) && part.length <= 3 && Number(part) <= 255 && (part === '0' || part[0] !== '0');
	});
}

function isGroup(part) {
	return part.length >= 1 && part.length <= 4 && isOf(part, new RegExp('[0-9a-fA-F]'));
}

function groups(text) {
	return text === '' ? [] : text.split(':');
}

function isIPv6(text) {
	const last = text.split(':').pop();

	/* The last 32 bits may be written as an IPv4 address. */
	if (last.indexOf('.') >= 0) {
		if (!isIPv4(last))
			return false;

		return isIPv6(text.slice(0, text.length - last.length) + '0:0');
	}

	const halves = text.split('::');

	if (halves.length > 2)
		return false;

	const all = groups(halves[0]).concat(halves.length === 2 ? groups(halves[1]) : []);

	return all.every(isGroup) && (halves.length === 2 ? all.length <= 7 : all.length === 8);
}

function isPort(text, least) {
	return isDigits(text) && text.length <= 5 && Number(text) >= least && Number(text) <= 65535;
}

function bare(text) {
	return text.replace('[', '').replace(']', '');
}

/* Without the interface that a link-local address is behind. */
function withoutZone(text) {
	return text.split('%')[0];
}

function host(text) {
	if (text === '' || text.length > HOST_MAX || !isOf(text, new RegExp('[A-Za-z0-9._:%-]')))
		return _('Neither a host name nor an IP address: %s').format(text);

	if (text.indexOf(':') >= 0 && !isIPv6(withoutZone(text)))
		return _('Not an IPv6 address: %s').format(text);

	return true;
}

function target(text) {
	if (text[0] === '[') {
		const end = text.indexOf(']');
		const rest = text.slice(end + 1);

		if (end < 0)
			return _('The bracket is not closed: %s').format(text);

		if (!isIPv6(withoutZone(text.slice(1, end))))
			return _('Not an IPv6 address: %s').format(text.slice(1, end));

		return rest === '' || (rest[0] === ':' && isPort(rest.slice(1), 1)) || _('Not a port: %s').format(rest);
	}

	const parts = text.split(':');

	if (parts.length === 2)
		return isPort(parts[1], 1) ? host(parts[0]) : _('Not a port from 1 to 65535: %s').format(parts[1]);

	return host(text);
}

return baseclass.extend({
	/* A time from `least` to `most` seconds; 0 is allowed besides where it switches something off. */
	duration: function(least, most, isZeroAllowed) {
		return function(text) {
			const seconds = amount(text, UNITS);

			if (seconds === null)
				return _('A number of seconds is needed, or one with s, m, h or d, such as 90 or 5m.');

			if (seconds === 0 && isZeroAllowed)
				return true;

			return (seconds >= least && seconds <= most) || _('This is too short or too long.');
		};
	},

	/* The seconds of such a time; null, if it is none. */
	seconds: function(text) {
		return amount(text, UNITS);
	},

	/* A pattern of options that belong to this router. The daemon is stricter, and names what is wrong. */
	local: function(text) {
		const parts = text.replace(/^!/, '').split('.');

		if (parts.length < 2 || parts.indexOf('') >= 0)
			return _('A package, a section and an option are needed, such as network.lan.ipaddr.');

		return parts[0] !== 'owsync' || _('The package owsync is never synced.');
	},

	size: function(text) {
		const unit = text.slice(-1).toUpperCase();

		return amount(text.slice(0, -1) + unit, SIZES) !== null
			|| _('A number of bytes is needed, or one with K, M or G, such as 16M.');
	},

	number: function(least, most) {
		return function(text) {
			return (isDigits(text) && text.length <= 10 && Number(text) >= least && Number(text) <= most)
				|| _('A number from %d to %d is needed.').format(least, most);
		};
	},

	port: function(least) {
		return function(text) {
			return isPort(text, least) || _('A port from %d to 65535 is needed.').format(least);
		};
	},

	name: function(text) {
		return (bytes(text) <= LABEL_MAX && !isOf(text, new RegExp('[\\s]')))
			|| _('At most %d characters are allowed.').format(LABEL_MAX);
	},

	/* A peer: host, host:port or [IPv6]:port, and behind a comma the address to connect from. */
	address: function(text) {
		const parts = text.split(',');
		const source = (parts[1] || '').trim();

		if (parts.length > 2)
			return _('More than one comma: %s').format(text);

		if (source !== '' && !isIPv4(source) && !isIPv6(bare(source)))
			return _('The address behind the comma is not an IP address: %s').format(source);

		return target(parts[0].trim());
	},

	ip: function(text) {
		return isIPv4(text) || isIPv6(text) || _('An IP address is needed.');
	},

	listener: function(text) {
		return isOf(text, new RegExp('[^\\s]')) || _('A host name or address is needed, without spaces.');
	},

	network: function(text) {
		return isOf(text, NAME) || _('A name is needed, such as lan.');
	},

	zone: function(text) {
		return text === '*' || isOf(text, NAME) || _('A name is needed, such as lan.');
	},

	release: function(text) {
		return (text.length <= 32 && isOf(text, new RegExp('[!-~]')))
			|| _('One word of 32 characters at most is needed, such as 24.10.4.');
	},

	path: function(text) {
		return text[0] === '/' || _('An absolute path is needed, such as /etc/config.');
	},

	publicKey: function(text) {
		return (text.length === 64 && isOf(text, new RegExp('[0-9a-fA-F]')))
			|| _('64 hexadecimal digits are needed: the identity that the other router shows in full.');
	},

	pattern: function(text) {
		return bytes(text) <= PATTERN_MAX || _('A pattern may have %d bytes at most.').format(PATTERN_MAX);
	},

	shareName: function(text) {
		return (text.length <= LABEL_MAX && isOf(text, new RegExp('[A-Za-z0-9_.-]')))
			|| _('A name of a share has letters, digits, “_”, “-” and “.”.');
	},

	/* What is notified of applied changes: a word, a program, or init scripts. */
	reload: function(text) {
		const words = text.split(new RegExp('\\s+')).filter(function(word) {
			return word !== '';
		});

		if (words.length === 1 && words[0][0] === '/')
			return true;

		return words.every(function(word) {
			return word[0] !== '.' && isOf(word, new RegExp('[A-Za-z0-9_.-]'));
		}) || _('“uci”, “none”, the absolute path of a program, or names of init scripts are needed.');
	}
});
