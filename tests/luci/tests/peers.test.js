'use strict';
// Why another router is not in sync: each reason as a sentence, with the button that fixes it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { spawn } = require('node:child_process');
const { REPOSITORY } = require('../router/router');
const { Stage } = require('../stage');

const stage = new Stage();

// The reasons that the daemon knows, by the names of its code.
const REASONS = [...fs.readFileSync(path.join(REPOSITORY, 'src/model/reason.rs'), 'utf8').matchAll(/Trouble::[^"\n]*=> "(\w+)"/g)].map(([, code]) => code);

// A router on whose address a different program responds.
function answers(router, script) {
	const [enter, ...words] = router.space.enter();
	const child = spawn(enter, [...words, process.execPath, '-e', `require('net').createServer((socket) => { ${script} }).listen(4321)`], { stdio: 'ignore' });
	return () => child.kill('SIGKILL');
}

// The address of the other one is in the first one's package: it is the one that dials.
function peer(address, more = '') {
	return `\nconfig peer 'router2'\n\toption address '${address}'\n${more}`;
}

async function reason(router, code, name = 'router2') {
	await router.untilStatus(`${name} is ${code}`, ({ peers }) => peers[name]?.reason == code);
}

const KEY = '0123456789abcdef'.repeat(4);

// The first of two routers with one key that dials the second; neither has accepted the other.
async function dialling(more = {}) {
	const router2 = await stage.fresh('router2');
	const router1 = await stage.fresh('router1');
	const main = (options) => `config owsync 'main'\n\toption enabled '1'\n\toption dir '/etc/config'\n\tlist include 'dhcp'\n${options ?? ''}`;
	router1.write('etc/owsync/key', KEY);
	router2.write('etc/owsync/key', more.key ?? KEY);
	router1.write('etc/config/owsync', main(more.here) + peer(more.address ?? router2.address, more.peer ?? ''));
	router2.write('etc/config/owsync', main(more.there) + (more.known ? `\nconfig peer 'router1'\n\toption address '${router1.address}'\n${more.known}` : ''));
	router1.service.start();
	if (more.answers)
		router2.stop = answers(router2, more.answers);
	else if (!more.off)
		router2.service.start();
	await router1.untilStatus('it answers', () => true);
	return [router1, router2];
}

// The setting, the reason from the daemon, the sentence of the page, and the button that fixes it.
const CASES = [
	['unreachable', { off: true }, 'router2 cannot be reached.', 'Try again now'],
	['unresolved', { address: 'no-such-host.invalid' }, 'not known to the name service', 'Open the settings'],
	['wrong_key', { key: 'f'.repeat(64), known: '\n' }, 'router2 has a different key than this router.', 'Try again now'],
	['wrong_mode', { there: '\toption plain_mode \'1\'\n', known: '\n' }, 'One of this router and router2 encrypts, the other does not.', 'Open the settings'],
	['not_accepted_there', {}, 'router2 does not know this router yet.', 'Try again now'],
	['disabled', { known: '\toption enabled \'0\'\n' }, 'disabled', 'Open the settings'],
	['closed', { answers: 'socket.on(\'error\', () => {}); socket.end();' }, 'router2 closed the connection.', 'Try again now'],
	['silent', { answers: 'socket.on(\'error\', () => {});' }, 'router2 has not answered for a while.', 'Try again now'],
	['predecessor', { answers: 'socket.on(\'error\', () => {}); socket.write(Buffer.alloc(200, 1));' }, 'runs owsync 1.x', 'Try again now'],
	['protocol', { answers: 'socket.on(\'error\', () => {}); socket.write(Buffer.alloc(200, 255));' }, 'do not understand each other', 'Try again now'],
];

for (const [code, given, sentence, button] of CASES)
	test(`a peer is down: ${code}`, async () => {
		const [router1, router2] = await dialling(given);
		try {
			await reason(router1, code);

			const page = await stage.open(router1);

			await page.says(sentence, '.owsync-verdict');
			await page.button(button, '.owsync-verdict').waitFor();
			await page.shot(`peer-${code}`);
		}
		finally {
			router2.stop?.();
		}
	});

test('a cable that is pulled is noticed, and put back', async () => {
	const [router1, router2] = await stage.pair();
	const page = await stage.open(router2);
	await page.says(/Everything is in sync since/);

	router1.space.cable('down');
	router1.write('etc/config/dhcp', 'config dnsmasq\n\toption domain \'apart\'\n');
	router2.write('etc/config/sqm', 'config queue\n\toption enabled \'0\'\n');

	await page.says(/has not answered a change yet|router1 has not answered for a while|cannot be reached/, '.owsync-verdict');
	await page.shot('cable');
	router1.space.cable('up');
	await page.says(/Everything is in sync since/);
});

test('a router that was reset is known by its identity, and accepted again by the user', async () => {
	const [router1, router2] = await stage.pair();
	await router2.service.stop();
	for (const name of fs.readdirSync(router2.file('etc/owsync')).filter((one) => one != 'key'))
		router2.remove(path.join('etc/owsync', name));
	router2.service.start();
	await router1.untilStatus('it is refused', ({ waiting }) => waiting.length > 0);

	const page = await stage.open(router1);
	await page.press('Review and accept');
	await page.says('Compare the identity', '.modal');
	await page.shot('accept');
	await page.press('Accept', '.modal');

	await router2.untilStatus('it is in again', ({ peers }) => peers.router1?.connected);
	await page.says(/router2/);
});

test('an unknown router with the key is listed and accepted', async () => {
	const [router1, router2] = await dialling();
	await router2.untilStatus('a router waits', ({ waiting }) => waiting.length == 1);

	const page = await stage.open(router2);

	await page.says('router1 asks to be accepted.', '.owsync-verdict');
	await page.shot('waiting');
	await page.press(/Accept: router1/);
	await page.press('Accept', '.modal');
	await router1.untilStatus('it is in', ({ peers }) => peers.router2.connected);
});

test('every reason that the daemon has is said in other words than its code', async () => {
	const [router1] = await stage.pair();
	const page = await stage.open(router1);
	assert.ok(REASONS.length > 20, `${REASONS}`);
	const unknown = [];

	for (const code of new Set(REASONS)) {
		router1.rpcd.altered = (object, method, [status, data]) => {
			if (method == 'status')
				Object.assign(data.peers.router2, { state: 'not connected', connected: false, in_sync: false, reason: code,
					message: `MESSAGE of ${code}`, address: `ADDRESS of ${code}` });
			return [status, data];
		};
		await page.says(`ADDRESS of ${code}`);
		const [sentence] = (await page.text('.owsync-verdict')).split('\n');
		// `other`, `ended_here` and `duplicate` are said by the daemon's own message.
		if (sentence.includes('MESSAGE') && !['other', 'ended_here', 'duplicate'].includes(code))
			unknown.push(code);
	}

	assert.deepEqual(unknown, []);
});

test('routers that are reached by another one, forgotten, this one or refused are named so, and the sentence has its clauses', async () => {
	const [router1] = await stage.pair();
	router1.rpcd.altered = (object, method, [status, data]) => {
		if (method == 'status') {
			data.left_out = { filter: 2, kept_dir: 1 };
			Object.assign(data.peers.router2, { behind: [{ name: 'cabin', reason: 'unreachable' }] });
			Object.assign(data.peers, {
				garage: { state: 'relayed', connected: false, in_sync: true, configured: false, introduced_by: 'router2', path: 'relayed by router2',
					message: 'no direct session: unreachable: timed out', node: '1'.repeat(32) },
				attic: { state: 'not connected', connected: false, in_sync: true, configured: false, introduced_by: 'router2', path: 'none' },
				shed: { state: 'forgotten', connected: false, configured: true, message: 'forgotten by a user' },
				self: { state: 'this node', connected: false, in_sync: true, this_node: true, address: '192.168.1.1', configured: true },
			});
			data.waiting = [{ name: 'boat', address: '192.168.1.99', node: '2'.repeat(32), reason: 'too_many_sessions', message: 'too many sessions', since: 1 }];
		}
		return [status, data];
	};

	for (const width of [360, 1100]) {
		const page = await stage.open(router1);
		await page.page.setViewportSize({ width, height: 700 });
		await page.says('3 files are left out: 2 by the file patterns, 1 directory that contains files that are not synced. '
			+ 'cabin, behind router2, is not in sync. Refused, because too many connections are open: boat.', '.owsync-verdict');
		await page.page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
		const row = (name) => page.page.locator('tr', { has: page.page.getByText(name, { exact: true }) }).first();
		for (const [name, label, buttons] of [['garage', 'relayed', ['Sync now', 'Pause', 'Forget']], ['shed', 'forgotten', []], ['self', 'this router', []],
			['boat', 'refused', []]]) {
			assert.equal(await row(name).locator('.label').first().innerText(), label, name);
			assert.deepEqual(await row(name).locator('button:visible').allInnerTexts(), buttons, name);
		}
		assert.match(await row('garage').innerText(), /Introduced by\s+router2\s+Path\s+relayed by router2/);
		assert.match(await row('router2').innerText(), /Not in sync behind it\s+cabin/);
		assert.ok(await page.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
		await page.shot(`peer-states-${width}`);
	}
});
