'use strict';
// From a router on which owsync was never used to two in sync, without a terminal.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const test = require('node:test');
const { Stage } = require('../stage');
const { packages } = require('../stories');
const { until } = require('../until');

const stage = new Stage();

// Fills in the form of the first router, up to the join text.
async function refer(page) {
	await page.press('Make this router the reference');
	await page.says('Now the other router');
	return page.page.getByLabel('Join text').inputValue();
}

test('on a router without a key the page begins with the choice of its role', async () => {
	const router = await stage.fresh();

	const page = await stage.open(router);

	await page.says('Which part does this router play?');
	await page.shot('first-run');
	const ticked = await page.page.evaluate(() => [...document.querySelectorAll('.owsync-packages input')]
		.filter((box) => box.checkVisibility()).map((box) => [box.value, box.checked, box.disabled]).sort());
	// What every router does alike is suggested, what belongs to one is not, each with its reason.
	assert.deepEqual(ticked, [['dhcp', true, false], ['dropbear', false, false], ['firewall', true, false], ['network', false, false],
		['owsync', false, true], ['sqm', true, false], ['system', false, false], ['wireless', false, false]]);
	for (const [name, reason] of [['network', 'Addresses differ'], ['wireless', 'hardware'], ['system', 'Host name'], ['owsync', 'never synced']])
		assert.match(await page.text(`.owsync-packages label:has(input[value="${name}"])`), new RegExp(reason));
});

test('two routers become a cluster in the browser alone', async () => {
	const [router1, router2] = [await stage.fresh('router1'), await stage.fresh('router2', packages({ dhcp: 'config dnsmasq\n\toption domain \'other\'\n' }))];
	const first = await stage.open(router1);
	await first.says('This router is the reference');

	// Not the firewall: a change of it would be unconfirmed for a minute.
	await first.page.getByRole('checkbox', { name: 'firewall' }).uncheck();
	const text = await refer(first);

	assert.match(text, /^\[owsync-join-1\]/);
	assert.ok(!text.includes(router1.read('etc/owsync/key').trim()), 'the key is in the text, and not in the clear');
	assert.deepEqual([router1.service.running, router1.service.enabled], [true, true]);
	assert.match(router1.read('etc/config/owsync'), /option enabled '1'/);
	assert.deepEqual(router1.read('etc/config/owsync').match(/list include '(.*)'/g), ['list include \'dhcp\'', 'list include \'sqm\'']);
	await first.shot('first-run-text');

	const second = await stage.open(router2);
	await second.page.getByRole('radio', { name: 'Join another router' }).check();
	await second.shot('first-run-join');
	await second.page.getByLabel('Paste the whole text here:').fill(text);
	await second.press('Join');

	await second.says('This router has joined router1.');
	await second.shot('first-run-joined');
	await first.says(/in sync\s+router2/);
	await until('what the reference has is there', () => router2.read('etc/config/dhcp') == router1.read('etc/config/dhcp'));
	await router2.untilInSync();
	// What router2 had is not lost.
	const { versions } = await router2.ask('history', {});
	assert.deepEqual(versions.map(({ path, why }) => [path, why]).filter(([path]) => path == 'dhcp'), [['dhcp', 'first contact']]);
	for (const page of [first, second]) {
		await page.press('Continue to the overview');
		await page.says(/Everything is in sync since/);
	}
	// The reference dials no peer; there is nothing else to report about either package.
	assert.deepEqual([router1.check().code, router1.warnings()], [0, ['no peer is configured: this node only waits for connections']]);
	assert.deepEqual([router2.check().code, router2.warnings()], [0, []]);
});

test('no page asks for a key or is given one, but for the join text', async () => {
	const router = await stage.fresh();
	const page = await stage.open(router);
	let seen = '';
	page.page.on('response', async (response) => {
		if (response.url().includes('/ubus'))
			seen += await response.text().catch(() => '');
	});

	await page.says('This router is the reference');
	await refer(page);
	await page.press('Continue to the overview');
	await page.says('no other router has joined it yet');
	await page.shot('alone');

	assert.ok(!seen.includes(router.read('etc/owsync/key').trim()));
	for (const { object, method, given } of router.rpcd.asked)
		if (object == 'uci')
			assert.ok(!JSON.stringify(given ?? {}).includes('"key"'), `${method} ${JSON.stringify(given)}`);
});

test('with the key and an address a router joins as well, once it was accepted', async () => {
	const router1 = await stage.running('router1', { options: '\tlist include \'dhcp\'\n\tlist include \'sqm\'\n' });
	await router1.ask('init', {});
	const key = router1.read('etc/owsync/key').trim();
	const router2 = await stage.fresh('router2', packages({ dhcp: 'config dnsmasq\n\toption domain \'other\'\n' }));
	const page = await stage.open(router2);
	await page.page.getByRole('radio', { name: 'Join another router' }).check();
	await page.page.getByText('I have a key instead of a join text').click();

	await page.page.getByLabel('Key', { exact: true }).fill(key);
	await page.page.getByLabel('Address of the other router').fill(router1.address);
	await page.page.getByRole('checkbox', { name: 'firewall' }).uncheck();
	await page.shot('first-run-key');
	await page.press('Join with the key');

	const other = await stage.open(router1);
	await other.says('router2 asks to be accepted.');
	await other.press('Review and accept');
	await other.press('Accept', '.modal');
	await until('what the reference has is there', () => router2.read('etc/config/dhcp') == router1.read('etc/config/dhcp'));
	await router2.untilInSync();
	assert.equal(fs.statSync(router2.file('etc/owsync/key')).mode & 0o777, 0o600);
	assert.doesNotMatch(router2.read('etc/config/owsync'), new RegExp(key));
});

test('what is no join text is refused with a sentence, and nothing is changed', async () => {
	const router = await stage.fresh();
	const before = router.read('etc/config/owsync');
	const page = await stage.open(router);
	await page.page.getByRole('radio', { name: 'Join another router' }).check();

	await page.page.getByLabel('Paste the whole text here:').fill('rubbish');
	await page.press('Join');

	await page.says('This is no join text');
	assert.equal(router.read('etc/config/owsync'), before);
	assert.equal(router.service.running, false);
	await page.page.getByLabel('Paste the whole text here:').fill('[owsync-join-1]\nAAAA\n[owsync-join-end 00]');
	await page.press('Join');
	await page.says('failed');
	await page.shot('first-run-failed');
	// The form is there again, with what was typed.
	assert.match(await page.page.getByLabel('Paste the whole text here:').inputValue(), /AAAA/);
	assert.equal(router.exists('etc/owsync/key'), false);
});

test('where nothing is ticked nothing begins', async () => {
	const router = await stage.fresh();
	const page = await stage.open(router);
	for (const name of ['dhcp', 'firewall', 'sqm'])
		await page.page.getByRole('checkbox', { name }).uncheck();

	await page.press('Make this router the reference');

	await page.says('Select at least one package');
	assert.equal(router.service.running, false);
});
