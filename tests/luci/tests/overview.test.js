'use strict';
// The overview of routers that know each other: what it says, what stays while it is polled, and its buttons.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Stage } = require('../stage');
const { until } = require('../until');

const stage = new Stage();

test('two routers in sync are said to be, with everything that is known of them', async () => {
	const [router1, router2] = await stage.pair();

	const page = await stage.open(router1);

	await page.says(/Everything is in sync since/);
	const { peers, shares } = await router1.status();
	const shown = await page.text('#view');
	assert.match(shown, /router2\s+192\.168\.1\.\d+/);
	assert.ok(shown.includes(peers.router2.version), shown);
	assert.ok(shown.includes(`${shares.main.files} files`), shown);
	const status = await router1.status();
	for (const fact of ['key_fingerprint', 'name', 'version'])
		assert.ok(shown.includes(status[fact]), `${fact}: ${shown}`);
	await page.page.locator('summary', { hasText: 'Details' }).first().click();
	await page.says(/known since the first connection/);
	await page.shot('overview');

	// The same on the other one, in the dark.
	const other = await stage.open(router2, undefined, { dark: true });
	await other.says(/Everything is in sync since/);
	await other.shot('overview-dark');
});

test('a poll brings news and keeps scroll position, selection, focus and open details', async () => {
	const [router1, router2] = await stage.pair();
	const page = await stage.open(router1);
	await page.page.setViewportSize({ width: 1100, height: 400 });
	await page.says(/Everything is in sync since/);
	await page.page.locator('summary', { hasText: 'Details' }).first().click();
	await page.button(/Sync now: router2/).focus();
	const before = await page.page.evaluate(() => {
		window.scrollTo(0, 150);
		const cell = [...document.querySelectorAll('td')].find((one) => one.innerText == document.querySelector('.brand').innerText);
		window.getSelection().selectAllChildren(cell);
		return { selected: String(window.getSelection()), polls: window.polls, top: window.scrollY, focus: document.activeElement.textContent };
	});
	assert.equal(before.selected, 'router1');

	router2.write('etc/config/dhcp', 'config dnsmasq\n\toption domain \'changed\'\n');

	await page.says(/dhcp by router2|landed|received|router2.*dhcp/);
	await until('several polls more', async () => await page.page.evaluate(() => window.polls) >= before.polls + 4);
	const now = await page.page.evaluate(() => ({ selected: String(window.getSelection()), top: window.scrollY,
		focus: document.activeElement.textContent, open: document.querySelector('details').open }));
	assert.deepEqual(now, { selected: before.selected, top: before.top, focus: before.focus, open: true });
});

test('Sync now finds unnoticed changes, and shows its progress and result', async () => {
	const [router1] = await stage.pair();
	const page = await stage.open(router1);

	await page.press('Sync now', '#view');
	await page.says(/Done: everything is in sync\./, '.modal');
	await page.shot('sync-now');
	await page.press('Close', '.modal');
	await page.press(/Sync now: router2/);
	await page.says(/Done: everything is in sync\./, '.modal');
	await page.press('Close', '.modal');
	await page.press(/Sync now: main/);
	await page.says(/Done: everything is in sync\./, '.modal');

	const asked = router1.rpcd.asked.filter(({ object, method }) => object == 'owsync' && method == 'sync').map(({ given }) => given);
	assert.deepEqual(asked, [{}, { peer: 'router2' }, { share: 'main' }]);
});

test('a daemon that is stopped meanwhile is missed, started from the page, and everything is there again', async () => {
	const [router1] = await stage.pair();
	const page = await stage.open(router1);
	await page.says(/Everything is in sync since/);

	await router1.service.stop();

	await page.says('owsync is not running on this router.');
	await page.shot('stopped');
	await page.press('Start it');
	await page.says(/Everything is in sync since/);
	assert.ok(router1.service.running);
});

test('a router that does not answer is no end of the page', async () => {
	const [router1] = await stage.pair();
	const page = await stage.open(router1);
	await page.says(/Everything is in sync since/);
	const server = stage.servers.get(router1);

	server.down = true;
	await page.says(/The router does not answer/);
	await page.shot('no-answer');
	server.down = false;

	await page.says(/Everything is in sync since/);
	// The browser itself notes that requests failed.
	page.faults.length = 0;
});

test('the card on the status page says the same in a few words', async () => {
	const [router1] = await stage.pair();

	const page = await stage.open(router1, 'admin/status/overview');

	await page.says(/in sync/i, '[data-include]');
	await page.shot('card');
});
