'use strict';
'require baseclass';
'require request';

// Calls of ubus objects over /ubus.

const TEXTS = ['Command OK', 'Invalid command', 'Invalid argument', 'Method not found', 'Resource not found', 'No data received',
	'Permission denied', 'Request timeout', 'Not supported', 'Unspecified error', 'Connection lost'];

const kindOf = (value) => Object.prototype.toString.call(value);

let number = 1;
let session = L.env.sessionid;
let base = L.env.ubuspath;
const interceptors = [];

return baseclass.extend({
	call(message, options) {
		return request.post(base, message, { timeout: (L.env.rpctimeout ?? 20) * 1000, ...options }).then((answer) => {
			if (!answer.ok)
				L.raise('RPCError', 'RPC call to %s/%s failed with HTTP error %d: %s', message.params?.[1] ?? '', message.params?.[2] ?? '',
					answer.status, answer.statusText || '?');
			return answer.json();
		});
	},

	list(...names) {
		return this.call({ jsonrpc: '2.0', id: number++, method: 'list', params: names.length ? names : undefined })
			.then((answer) => answer.result);
	},

	declare(options) {
		return (...given) => this.$invoke(options, given);
	},

	async $invoke(options, given) {
		const names = options.params ?? [];
		const params = Object.fromEntries(names.map((name, at) => [name, given[at]]));
		const message = { jsonrpc: '2.0', id: number++, method: 'call', params: [session, options.object, options.method, params] };
		const answer = await this.call(message, {});
		await Promise.all(interceptors.map((call) => call(answer, { ...options, params })));
		return this.handleCallReply(options, answer, params, given.slice(names.length));
	},

	handleCallReply(options, answer, params, more) {
		if (!L.isObject(answer) || answer.jsonrpc != '2.0')
			L.raise('RPCError', 'RPC call to %s/%s returned invalid message frame', options.object, options.method);
		if (L.isObject(answer.error) && answer.error.code && answer.error.message)
			L.raise('RPCError', 'RPC call to %s/%s failed with error %d: %s', options.object, options.method, answer.error.code, answer.error.message);
		let found = null;
		if (Array.isArray(answer.result)) {
			const [status, data] = answer.result;
			if (options.reject && status !== 0)
				L.raise('RPCError', 'RPC call to %s/%s failed with ubus code %d: %s', options.object, options.method, status, this.getStatusText(status));
			found = answer.result.length > 1 ? data : status;
		}
		const [[key, expected] = []] = Object.entries(options.expect ?? {});
		if (key !== undefined) {
			if (found !== null && found !== undefined && key != '')
				found = found[key];
			if (found === null || found === undefined || kindOf(found) != kindOf(expected))
				found = expected;
		}
		return typeof options.filter == 'function' ? options.filter.call(this, found, params, ...more) : found;
	},

	getSessionID: () => session,
	setSessionID(id) {
		session = id;
	},
	getBaseURL: () => base,
	setBaseURL(url) {
		base = url;
	},
	getStatusText: (code) => _(TEXTS[code] ?? 'Unknown error code'),
	addInterceptor(call) {
		interceptors.push(call);
		return call;
	},
	removeInterceptor(call) {
		const at = interceptors.indexOf(call);
		if (at >= 0)
			interceptors.splice(at, 1);
		return at >= 0;
	},
});
