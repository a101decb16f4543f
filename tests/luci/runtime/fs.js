'use strict';
'require baseclass';
'require rpc';

// Files of the router, as far as its session may see and write them.

// By ubus's status codes.
const ERRORS = ['', 'InvalidCommandError', 'InvalidArgumentError', 'MethodNotFoundError', 'NotFoundError', 'NoDataError', 'PermissionError',
	'TimeoutError', 'UnsupportedError'];

// A call that fails with an error named for its status.
function call(method, params) {
	const declared = rpc.declare({ object: 'file', method, params });
	return (...given) => declared(...given).then((answer) => {
		if (typeof answer != 'number' || answer == 0)
			return answer;
		const error = new Error(rpc.getStatusText(answer));
		error.name = ERRORS[answer] ?? 'Error';
		throw error;
	});
}

const list = call('list', ['path']), stat = call('stat', ['path']), read = call('read', ['path']), write = call('write', ['path', 'data', 'mode']);

return baseclass.extend({
	list: (path) => list(path).then((answer) => answer.entries ?? []),
	stat: (path) => stat(path),
	read: (path) => read(path).then((answer) => answer.data ?? ''),
	write: (path, data, mode) => write(path, String(data ?? ''), mode ?? 0o644),
	trimmed(path) {
		return this.read(path).then((text) => text.trim(), () => '');
	},
	lines(path) {
		return this.read(path).then((text) => text.split('\n').map((line) => line.trim()).filter(Boolean), () => []);
	},
});
