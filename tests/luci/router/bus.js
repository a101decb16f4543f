'use strict';
// A connection to ubusd (ubus:ubusmsg.h): calls objects, and offers some.

const net = require('node:net');
const { attribute, attributes, decode, encode, text, uint32 } = require('./blobmsg');

const KIND = { HELLO: 0, STATUS: 1, DATA: 2, LOOKUP: 4, INVOKE: 5, ADD_OBJECT: 6 };
const FIELD = { STATUS: 1, PATH: 2, OBJECT: 3, METHOD: 4, SIGNATURE: 6, DATA: 7 };

const OK = 0, METHOD_NOT_FOUND = 3, NOT_FOUND = 4;

class Bus {
	// A connection that ubusd has greeted.
	static connect(path) {
		return new Promise((resolve, reject) => {
			const socket = net.connect(path);
			const bus = new Bus(socket, () => resolve(bus));
			socket.once('error', reject);
		});
	}

	constructor(socket, greeted) {
		this.socket = socket;
		this.greeted = greeted;
		this.sequence = 0;
		this.waiting = new Map();
		this.offered = new Map();
		this.rest = Buffer.alloc(0);
		socket.on('data', (bytes) => this.read(bytes));
		socket.on('close', () => {
			for (const { reject } of this.waiting.values())
				reject(new Error('ubusd hung up'));
		});
		socket.on('error', () => {});
	}

	close() {
		this.socket.destroy();
	}

	// The answer of an object's method: [status, data...]. A status of 4 also when there is no such object.
	async call(object, method, given = {}) {
		const [status, found] = await this.lookup(object);
		if (status != OK || !found.length)
			return [NOT_FOUND];
		const answer = await this.request(KIND.INVOKE, found[0].id, [
			attribute(FIELD.OBJECT, uint32(found[0].id)),
			attribute(FIELD.METHOD, text(method)),
			attribute(FIELD.DATA, encode(given)),
		]);
		return [answer.status, ...answer.data.map((fields) => decode(fields.get(FIELD.DATA) ?? Buffer.alloc(0)))];
	}

	// What is there by this name (a trailing * stands for anything): [status, [{ path, id, methods }]].
	async lookup(path) {
		const answer = await this.request(KIND.LOOKUP, 0, path ? [attribute(FIELD.PATH, text(path))] : []);
		return [answer.status, answer.data.map((fields) => ({
			path: fields.get(FIELD.PATH).toString('utf8', 0, fields.get(FIELD.PATH).length - 1),
			id: fields.get(FIELD.OBJECT).readUInt32BE(0),
			methods: decode(fields.get(FIELD.SIGNATURE) ?? Buffer.alloc(0)),
		}))];
	}

	// Offers an object. Its methods take what was given, and return the data of their answer, or the number of a status.
	async offer(path, methods) {
		const signature = encode(Object.fromEntries(Object.keys(methods).map((name) => [name, {}])));
		const answer = await this.request(KIND.ADD_OBJECT, 0, [
			attribute(FIELD.PATH, text(path)),
			attribute(FIELD.SIGNATURE, signature),
		]);
		if (answer.status != OK)
			throw new Error(`ubusd refuses the object ${path}: ${answer.status}`);
		this.offered.set(answer.data[0].get(FIELD.OBJECT).readUInt32BE(0), methods);
	}

	request(kind, peer, fields) {
		this.sequence = (this.sequence + 1) & 0xffff;
		const { sequence } = this;
		return new Promise((resolve, reject) => {
			this.waiting.set(sequence, { resolve, reject, data: [] });
			this.write(kind, sequence, peer, fields);
		});
	}

	write(kind, sequence, peer, fields) {
		const head = Buffer.alloc(8);
		head[1] = kind;
		head.writeUInt16BE(sequence, 2);
		head.writeUInt32BE(peer >>> 0, 4);
		this.socket.write(Buffer.concat([head, attribute(0, Buffer.concat(fields))]));
	}

	read(bytes) {
		this.rest = Buffer.concat([this.rest, bytes]);
		while (this.rest.length >= 12) {
			const length = 8 + (this.rest.readUInt32BE(8) & 0xffffff);
			if (this.rest.length < length)
				return;
			const message = this.rest.subarray(0, length);
			this.rest = this.rest.subarray(length);
			this.take(message[1], message.readUInt16BE(2), message.readUInt32BE(4), new Map(attributes(message.subarray(12))));
		}
	}

	take(kind, sequence, peer, fields) {
		const asked = this.waiting.get(sequence);
		switch (kind) {
		case KIND.HELLO:
			return this.greeted();
		case KIND.DATA:
			return asked?.data.push(fields);
		case KIND.STATUS:
			this.waiting.delete(sequence);
			return asked?.resolve({ status: fields.get(FIELD.STATUS).readInt32BE(0), data: asked.data });
		case KIND.INVOKE:
			return this.answer(sequence, peer, fields);
		}
	}

	answer(sequence, peer, fields) {
		const object = fields.get(FIELD.OBJECT);
		const methods = this.offered.get(object.readUInt32BE(0));
		const name = fields.get(FIELD.METHOD).toString('utf8', 0, fields.get(FIELD.METHOD).length - 1);
		const method = methods?.[name];
		const given = method ? method(decode(fields.get(FIELD.DATA) ?? Buffer.alloc(0))) : METHOD_NOT_FOUND;
		const whose = attribute(FIELD.OBJECT, object);
		if (typeof given != 'number')
			this.write(KIND.DATA, sequence, peer, [whose, attribute(FIELD.DATA, encode(given))]);
		this.write(KIND.STATUS, sequence, peer, [attribute(FIELD.STATUS, uint32(typeof given == 'number' ? given : OK)), whose]);
	}
}

module.exports = { Bus };
