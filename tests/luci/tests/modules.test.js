'use strict';
// What the app decides without a page: it has to agree with the daemon, whose own tests have the same tables
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
function load(name, more = {}) {
	const source = fs.readFileSync(path.join(MODULES, `${name}.js`), 'utf8');
	const names = ['baseclass', '_', 'N_', 'L', 'live', ...Object.keys(more)];
	const values = [{ extend: (members) => members }, (text) => text, (n, one, many) => (n === 1 ? one : many),
		{ isObject: (value) => typeof value === 'object' && value !== null, toArray: (value) => (value == null ? [] : [].concat(value)) }, {}, ...Object.values(more)];
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

// What is expected of a pattern, the pattern, and what was meant, as the daemon's own tests have it.
const PATTERNS = fs.readFileSync(path.join(__dirname, '../../../src/reconcile/patterns.txt'), 'utf8').split('\n')
	.filter((line) => line && !line.startsWith('#')).map((line) => line.split('|'));

// F99
test('patterns that cannot be meant are refused or warned of as the daemon does', () => {
	const glob = load('glob');
	assert.ok(PATTERNS.length > 50, `${PATTERNS.length}`);
	for (const [kind, pattern, ...meant] of PATTERNS) {
		const found = glob.doubt(pattern);
		if (kind == 'wrong' || kind == 'odd') {
			assert.deepEqual([found?.isWrong, found?.meant], [kind == 'wrong', meant], pattern);
			for (const one of meant)
				assert.ok(found.sentence.includes(`“${one}”`), `${pattern}: ${found.sentence}`);
			assert.doesNotMatch(found.sentence, /%s/, pattern);
		}
		else
			assert.equal(found, null, pattern);
		const absolute = { inside: { meant: meant[0] }, outside: { meant: null } }[kind] ?? null;
		assert.deepEqual(glob.absolute(pattern, '/etc/config'), absolute, pattern);
	}
	assert.equal(glob.absolute('/etc/passwd', '/'), null);
});

// F99
test('a character of a pattern is a byte, as for the daemon', () => {
	const glob = load('glob');
	assert.deepEqual([glob.covers('d?', 'dä'), glob.covers('d??', 'dä'), glob.covers('*ä', 'ää')],
		[false, true, true]);
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

// The words that the daemon's source has at these places.
function codes(file, ...expressions) {
	const source = fs.readFileSync(path.join(__dirname, '../../../src', file), 'utf8');
	const found = expressions.flatMap((expression) => [...source.matchAll(expression)].map(([, code]) => code));
	assert.ok(found.length > 0, file);
	return [...new Set(found)];
}

test('every reason and state that the daemon sends is said in words of the app', () => {
	const words = load('words');
	const peers = codes('model/reason.rs', /Trouble::[^"\n]*=> "(\w+)"/g);
	const gaps = codes('node/verdict.rs', /Gap::new\(\s*Urgency::\w+,\s*"(\w+)"/g, /first_of\(\s*"(\w+)"/g);
	const paths = [...codes('model/reason.rs', /Reason::[^"\n]*=> "(\w+)"/g), ...codes('model/reason/choice.rs', /Choice::\w+ => "(\w+)",/g)];
	const choices = codes('model/reason/choice.rs', /Choice::\w+ => "([a-z_]+)",\n/g);
	const holds = codes('model/reason/hold.rs', /Hold::[^"\n]*=> "(\w+)"/g);
	// The states of peers and shares are two enums with their words; the roles before them are no states.
	const [, enums] = fs.readFileSync(path.join(__dirname, '../../../src/node/api/status.rs'), 'utf8').split('pub enum PeerState');
	const states = [...new Set([...enums.matchAll(/^ +\w+ = "([a-z ]+)",$/gm)].map(([, word]) => word))];
	assert.ok(peers.length > 20 && gaps.length > 25 && paths.length > 30 && choices.length >= 9 && holds.length > 5 && states.length >= 15,
		[peers, gaps, paths, choices, holds, states].join(' / '));
	const MESSAGE = 'the message of the daemon';
	const unknown = [];
	const check = (kind, code, text) => {
		if (!text || String(text).includes(MESSAGE) || text === code)
			unknown.push(`${kind} ${code}`);
	};
	// These are said by the daemon's own message.
	for (const code of peers.filter((one) => !['other', 'ended_here'].includes(one)))
		check('peer', code, words.peer('r2', { reason: code, message: MESSAGE }));
	for (const code of gaps) {
		const whose = ['no_share', 'no_peer'].includes(code) ? words.gap({ reason: code, message: MESSAGE })[0]
			: words.peer('r2', { reason: code, message: MESSAGE });
		check('gap', code, whose);
	}
	for (const code of ['no_include', 'no_common_share'])
		check('gap of a share', code, words.gap({ share: 'main', reason: code, message: MESSAGE })[0]);
	for (const code of paths.filter((one) => one != 'other'))
		check('path', code, words.path({ reason: code, message: MESSAGE }));
	for (const code of holds)
		check('hold', code, words.hold('main', { reason: code, message: MESSAGE }));
	for (const code of choices)
		check('choice', code, words.leftOut(code, 2).includes(`(${code})`) ? '' : 'known');
	for (const state of states)
		check('state', state, words.isKnownState(state) ? 'known' : '');
	assert.deepEqual(unknown, []);
});

// What the daemon says in one sentence with its clauses.
test('the sentence on top says what the daemon\'s does', () => {
	const words = load('words');
	const amounts = { time: (seconds) => `at ${seconds}` };
	const verdict = load('verdict', { amounts, words });
	const main = { files: 1, state: 'idle' };
	const status = (more) => ({ key_fingerprint: 'f', in_sync: true, peers: { r2: { state: 'in sync', in_sync: true } }, shares: { main }, ...more });
	const of = (more) => verdict.of(status(more), 0);

	assert.deepEqual([of({}).tone, of({}).sentence, of({}).advice], ['success', 'Everything is in sync.', null]);
	const told = of({
		left_out: { filter: 2, symlink: 1 },
		peers: { r2: { state: 'in sync', in_sync: true, behind: [{ name: 'r3', reason: 'unreachable' }] } },
		waiting: [{ name: 'r9', reason: 'too_many_sessions' }],
	});
	assert.deepEqual([told.tone, told.advice], ['success', '3 files are left out: 2 by the file patterns, 1 symlink. r3, behind r2, is not in sync. '
		+ 'Refused, because too many connections are open: r9.']);

	// A peer that is reached through another one, that was forgotten, or is this router itself, is no reason to worry.
	const quiet = { relayed: { state: 'relayed', in_sync: false, message: 'no direct session: unreachable' },
		gone: { state: 'forgotten', connected: false }, own: { state: 'this node', in_sync: true } };
	assert.equal(of({ peers: { ...quiet, r2: { state: 'in sync', in_sync: true } } }).tone, 'success');
	// The most useful reason comes first, as the daemon has it.
	const apart = of({ in_sync: false, peers: { ...quiet, a: { state: 'not connected', in_sync: false, reason: 'unreachable' },
		b: { state: 'not in sync', in_sync: false, reason: 'full' } },
	reasons: [{ peer: 'b', share: 'main', reason: 'full' }, { peer: 'a', reason: 'unreachable' }] });
	assert.match(apart.sentence, /^So many changes of b are pending here .* keeps 1 more peer/);
	// What concerns no peer.
	assert.equal(of({ in_sync: false, reasons: [{ share: 'vpn', reason: 'no_common_share' }] }).sentence, 'No connected router has the share vpn.');
	assert.equal(of({ in_sync: false, peers: quiet, reasons: [{ reason: 'no_peer' }] }).sentence, 'No other router is connected, and none is expected.');
	assert.equal(of({ in_sync: false, reasons: [{ peer: 'r2', reason: 'sending' }] }).sentence, 'Changes are being exchanged.');
	// What flapped is decided like what is pending.
	assert.match(of({ in_sync: false, shares: { main: { ...main, held_paths: [{ path: 'x', reason: 'flapping' }] } } }).sentence, /^1 file of main waits for your decision/);
});

test('no message tells to type a command', () => {
	const { plain } = load('words');
	assert.equal(plain('waiting to be accepted there: run `owsync accept` on the peer'), 'waiting to be accepted there');
	assert.equal(plain('clock skew: the peer\'s clock is 90 s behind'), 'clock skew: the peer\'s clock is 90 s behind');
	assert.equal(plain(undefined), '');
});
