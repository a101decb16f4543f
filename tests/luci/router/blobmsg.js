'use strict';
// ubus's messages as JavaScript values (libubox:blob.h, blobmsg.h): written for the tests, so that what the daemon says is
// read by something that shares no code with it.

const TYPE = { ARRAY: 1, TABLE: 2, STRING: 3, INT64: 4, INT32: 5, INT16: 6, BOOL: 7, DOUBLE: 8 };
const EXTENDED = 0x80000000;

const padded = (length) => (length + 3) & ~3;

// An attribute: its head, its content, and zeros up to a multiple of four.
function attribute(id, content, extended) {
	const bytes = Buffer.alloc(padded(4 + content.length));
	bytes.writeUInt32BE(((extended ? EXTENDED : 0) | (id << 24) | (4 + content.length)) >>> 0, 0);
	content.copy(bytes, 4);
	return bytes;
}

function uint32(number) {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(number >>> 0);
	return bytes;
}

const text = (string) => Buffer.from(string + '\0');

function field(name, type, value) {
	const label = Buffer.from(name);
	const head = Buffer.alloc(padded(label.length + 3));
	head.writeUInt16BE(label.length);
	label.copy(head, 2);
	return attribute(type, Buffer.concat([head, value]), true);
}

function encodeField(name, value) {
	if (Array.isArray(value))
		return field(name, TYPE.ARRAY, Buffer.concat(value.map((one) => encodeField('', one))));
	switch (typeof value) {
	case 'string':
		return field(name, TYPE.STRING, text(value));
	case 'boolean':
		return field(name, TYPE.BOOL, Buffer.from([value ? 1 : 0]));
	case 'number': {
		if (Number.isInteger(value) && value >= -0x80000000 && value <= 0x7fffffff)
			return field(name, TYPE.INT32, uint32(value));
		const bytes = Buffer.alloc(8);
		if (Number.isInteger(value)) {
			bytes.writeBigInt64BE(BigInt(value));
			return field(name, TYPE.INT64, bytes);
		}
		bytes.writeDoubleBE(value);
		return field(name, TYPE.DOUBLE, bytes);
	}
	case 'object':
		if (value)
			return field(name, TYPE.TABLE, encode(value));
	}
	return field(name, 0, Buffer.alloc(0));
}

// The content of a table.
function encode(table) {
	return Buffer.concat(Object.entries(table).filter(([, value]) => value !== undefined)
		.map(([name, value]) => encodeField(name, value)));
}

// The attributes in these bytes, one after another: [id, content].
function attributes(bytes) {
	const found = [];
	for (let at = 0; at + 4 <= bytes.length;) {
		const head = bytes.readUInt32BE(at);
		const length = head & 0xffffff;
		if (length < 4 || at + length > bytes.length)
			throw new Error('an attribute is longer than what holds it');
		found.push([(head >>> 24) & 0x7f, bytes.subarray(at + 4, at + length)]);
		at += padded(length);
	}
	return found;
}

function decodeField([type, content]) {
	const length = content.readUInt16BE(0);
	const name = content.toString('utf8', 2, 2 + length);
	const value = content.subarray(padded(length + 3));
	switch (type) {
	case TYPE.ARRAY: return [name, attributes(value).map((one) => decodeField(one)[1])];
	case TYPE.TABLE: return [name, decode(value)];
	case TYPE.STRING: return [name, value.toString('utf8', 0, Math.max(0, value.length - 1))];
	case TYPE.INT64: return [name, Number(value.readBigInt64BE(0))];
	case TYPE.INT32: return [name, value.readInt32BE(0)];
	case TYPE.INT16: return [name, value.readInt16BE(0)];
	case TYPE.BOOL: return [name, value[0] != 0];
	case TYPE.DOUBLE: return [name, value.readDoubleBE(0)];
	default: return [name, null];
	}
}

// The table that these bytes are the content of.
function decode(bytes) {
	return Object.fromEntries(attributes(bytes).map(decodeField));
}

module.exports = { TYPE, attribute, attributes, decode, encode, text, uint32 };
