'use strict';
// What the app decides by itself, without a page: it has to agree with the daemon, whose own tests hold the same tables
// (src/reconcile/filter.rs, src/config/values.rs).

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const MODULES = path.join(__dirname, '../../../luci-app-owsync/htdocs/luci-static/resources/owsync');

String.prototype.format = function (...given) {
	return this.replace(/%[sd]/g, () => given.shift());
};

// A module that needs nothing of LuCI but these.
function load(name) {
	const source = fs.readFileSync(path.join(MODULES, `${name}.js`), 'utf8');
	const names = ['baseclass', '_', 'N_', 'L', 'live'];
	const values = [{ extend: (members) => members }, (text) => text, (n, one, many) => (n === 1 ? one : many),
		{ isObject: (value) => typeof value === 'object' && value !== null }, {}];
	return new Function(...names, source)(...values);
}

test('patterns match what they match for the daemon', () => {
	const glob = load('glob');
	for (const [pattern, text, hit] of [
		['*', 'a/.b/c', true], ['dhcp', 'dhcp', true], ['dhcp', 'dhcp.bak', false], ['*.conf', 'a/b.conf', true],
		['a*b*c', 'a/x/b/y/c', true], ['a*b*c', 'a/x/b/y/d', false], ['?hcp', 'dhcp', true], ['[a-d]hcp', 'dhcp', true],
		['[!a-d]hcp', 'dhcp', false], ['[^x]hcp', 'dhcp', true], ['[]]', ']', true], ['[a', '[a', true], ['\\*', '*', true],
		['\\*', 'a', false], ['[\\]]x', ']x', true], ['d[0-9]*', 'd1', true], ['ssl/private/', 'ssl/private/key', true],
		['ssl', 'ssl/a/b', true], ['d/*', 'd', false], ['/d', 'd/x', true],
	])
		assert.equal(glob.covers(pattern, text), hit, `${pattern} ${text}`);
	assert.equal(glob.holds(['*'], ['network'], 'network/x'), false);
	assert.equal(glob.holds([], [], 'dhcp'), false);
});

test('many stars do not hang', () => {
	assert.equal(load('glob').covers(`${'*a'.repeat(100)}b`, 'a'.repeat(2000)), false);
});

test('addresses are taken and refused as the daemon does', () => {
	const { address } = load('values');
	for (const good of ['192.168.1.2', '192.168.1.2:9000', 'router.lan:9000', '[2001:db8::1]:4322', '[2001:db8::1]', 'fd00::1',
		'fe80::1%eth0', '::1,::1', '10.0.0.2, 10.0.0.1', '::ffff:10.0.0.1', '10.0.0.2,'])
		assert.equal(address(good), true, good);
	for (const bad of [':1', 'a:b', 'a:0', 'a:70000', '[x]:1', '[::1', '[::1]x', 'a b', '1:2:3', 'a,b', 'a,10.0.0.01'])
		assert.notEqual(address(bad), true, bad);
});

test('durations and sizes take units', () => {
	const values = load('values');
	const duration = values.duration(1, 86400, false);
	for (const good of ['90', '90s', '5m', '2h', '1d'])
		assert.equal(duration(good), true, good);
	for (const bad of ['0', 'm', '-1', '+1', '1x', '2d', '99999999999999999999'])
		assert.notEqual(duration(bad), true, bad);
	for (const good of ['4096', '16K', '16m', '1G', '0'])
		assert.equal(values.size(good), true, good);
	for (const bad of ['', 'K', '1x', '-1', '1KB'])
		assert.notEqual(values.size(bad), true, bad);
	const confirm = values.duration(5, 3600, true);
	assert.deepEqual(['0', '4', '5', '1h', '61m'].map((text) => confirm(text) === true), [true, false, true, true, false]);
});

test('a diff is read with its numbers, and lines that took each other\'s place stand beside each other', () => {
	const { parse, pairs } = load('difference');
	const lines = parse('--- a\n+++ b\n@@ -2,3 +2,4 @@\n same\n-old\n+new\n+more\n\\ No newline at end of file\n');
	assert.deepEqual(lines.map(({ kind, old, now }) => [kind, old, now]), [['hunk', undefined, undefined], ['same', 2, 2],
		['removed', 3, undefined], ['added', undefined, 3], ['added', undefined, 4], ['note', undefined, undefined]]);
	assert.deepEqual(pairs(lines).map(({ left, right, whole }) => [left?.text, right?.text, whole?.kind]),
		[[undefined, undefined, 'hunk'], ['same', 'same', undefined], ['old', 'new', undefined], [undefined, 'more', undefined],
			[undefined, undefined, 'note']]);
	assert.deepEqual(parse('binary files differ\n'), []);
});

test('no message tells to type a command', () => {
	const { plain } = load('words');
	assert.equal(plain('waiting to be accepted there: run `owsync accept` on it'), 'waiting to be accepted there');
	assert.equal(plain('clock skew: its clock is 90 s behind ours (1 min)'), 'clock skew: its clock is 90 s behind ours (1 min)');
	assert.equal(plain(undefined), '');
});
