'use strict';
'require baseclass';
'require rpc';

// Files of the router, as far as its session may see them.

const call = (method, params) => rpc.declare({ object: 'file', method, params, reject: true });
const list = call('list', ['path']), stat = call('stat', ['path']), read = call('read', ['path']);

return baseclass.extend({
	list: (path) => list(path).then((answer) => answer.entries ?? []),
	stat: (path) => stat(path),
	read: (path) => read(path).then((answer) => answer.data ?? ''),
	trimmed(path) {
		return this.read(path).then((text) => text.trim(), () => '');
	},
	lines(path) {
		return this.read(path).then((text) => text.split('\n').map((line) => line.trim()).filter(Boolean), () => []);
	},
});
