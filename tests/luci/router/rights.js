'use strict';
// Who may do what: sessions and the access control lists of rpcd (rpcd:session.c), read from the app's own acl.d file.

const fs = require('node:fs');
const path = require('node:path');

// What luci-base grants to every user who may log in. No package is among it: those the app has to name.
const BASE = {
	read: {
		ubus: {
			luci: ['getFeatures', 'getInitList', 'getTimezones', 'getLocaltime'],
			'luci-rpc': ['getHostHints', 'getBoardJSON', 'getNetworkDevices'],
			session: ['access'],
			uci: ['changes', 'get'],
		},
	},
	write: {
		ubus: {
			luci: ['setInitAction'],
			uci: ['add', 'apply', 'confirm', 'delete', 'order', 'rename', 'revert', 'set'],
		},
	},
};

// A pattern of an access list: * stands for anything.
function matches(pattern, text) {
	const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
	return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

// The groups of all files in a directory, by name.
function groups(directory) {
	const files = fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith('.json')) : [];
	return Object.assign({}, ...files.map((name) => JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8'))));
}

class Rights {
	// The rights of a user who has these parts ('read', 'write') of every group.
	constructor(directory, parts) {
		this.lists = [BASE, ...Object.values(groups(directory))];
		this.parts = parts;
	}

	// Whether `scope` (ubus, uci, file, access-group) grants `action` on `object`.
	grants(scope, object, action) {
		return this.lists.some((list) => this.parts.some((part) => {
			const granted = list[part]?.[scope];
			// A list grants, of a package, its part: to read, or to write.
			if (Array.isArray(granted))
				return part == action && granted.some((name) => matches(name, object));
			return Object.entries(granted ?? {}).some(([name, actions]) =>
				matches(name, object) && actions.some((one) => matches(one, action)));
		}));
	}
}

module.exports = { Rights, groups };
