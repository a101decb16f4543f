'use strict';
// Names and contents from elsewhere are texts wherever they are shown.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Stage } = require('../stage');
const { packages } = require('../stories');
const { until } = require('../until');

const stage = new Stage();

// Each is a whole element if it is read as HTML; the first has no space, as names of routers may have none.
const EVIL = '<img/src=x/onerror=window.pwned=1>';
const FILES = ['<img src=x onerror=window.pwned=1>', '"><svg onload=window.pwned=1>', '\'onmouseover=window.pwned=1 x=\'', '%s%d%h', '&lt;b&gt;',
	'line\nbreak', '\u202egpj.exe'];

// Nothing of it became an element, an attribute or a script.
async function assertHarmless(page) {
	const found = await page.page.evaluate(() => ({
		pwned: window.pwned,
		elements: [...document.querySelectorAll('#maincontent img, #maincontent svg, .modal img, .modal svg, [onerror], [onload], [onmouseover]')]
			.map((node) => node.outerHTML),
	}));
	assert.deepEqual(found, { pwned: undefined, elements: [] });
	await page.sound();
}

const SECTIONS = '\nconfig share \'files\'\n\toption dir \'/etc/files.d\'\n\tlist include \'*\'\n';

// Two routers with such names, of which the first has files that the second cannot take.
async function pair() {
	const files = Object.fromEntries(FILES.map((name) => [`../files.d/${name}`, `${EVIL}\n`]));
	const router1 = await stage.running('router1', { options: `\toption name '${EVIL}'\n\tlist include 'dhcp'\n`, sections: SECTIONS,
		files: { ...packages(), ...files } });
	const router2 = await stage.running('router2', { options: `\toption name '${EVIL}2'\n`, files: { '../files.d/own': 'own' } });
	const { join_text: text } = await router1.ask('init', {});
	await router2.ask('join', { text });
	await Promise.all([router1, router2].map((router) => router.untilInSync()));
	return [router1, router2];
}

test('on the overview, with every detail open', async () => {
	const [router1] = await pair();
	await router1.space.run('mkfifo', `/etc/files.d/${FILES[0]}.fifo`);
	await router1.untilStatus('it is reported', ({ shares }) => shares.files.skipped_count > 0).catch(async () => router1.ask('sync', {}));

	const page = await stage.open(router1);

	await page.says(`${EVIL}2`);
	await until('the reason is there', async () => (await router1.status()).shares.files.skipped_count > 0);
	await page.page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
	await page.says(`${FILES[0]}.fifo`);
	await assertHarmless(page);
	await page.shot('hostile');
	const card = await stage.open(router1, 'admin/status/overview');
	await card.says('owsync');
	await assertHarmless(card);
});

test('in what a hold would do, and in the decision', async () => {
	const [router1] = await pair();
	router1.remove('etc/files.d');
	router1.write('etc/files.d/.keep', '');
	router1.remove('etc/files.d/.keep');
	await router1.untilStatus('it is held', ({ shares }) => shares.files.hold);

	const page = await stage.open(router1);
	await page.press('Review and decide');
	await page.says(FILES[0], '.modal');

	await assertHarmless(page);
	await page.shot('hostile-hold');
});

test('in the history, in a comparison, and when something is brought back', async () => {
	const [router1, router2] = await pair();
	router1.write(`etc/files.d/${FILES[0]}`, `<script>window.pwned=1</script>\n${EVIL}\n`);
	await until('it is there', () => /script/.test(router2.read(`etc/files.d/${FILES[0]}`)));
	await router2.untilInSync();

	const page = await stage.open(router2, 'admin/services/owsync/history');
	await page.says(FILES[0]);
	await page.page.getByRole('button', { name: 'Compare', exact: false }).first().click();
	await page.says('<script>window.pwned=1</script>', '.modal');
	await assertHarmless(page);
	await page.press('Restore this version', '.modal');
	await assertHarmless(page);
	await page.press('Restore it', '.modal');
	await page.says('was restored');
	await assertHarmless(page);
});

test('among the packages of the guided start, and in the name of the router that was joined', async () => {
	const router1 = await stage.running('router1', { options: `\toption name '${EVIL}'\n\tlist include 'dhcp'\n` });
	const { join_text: text } = await router1.ask('init', {});
	const router2 = await stage.fresh('router2', packages({ [FILES[0]]: 'x' }));

	const page = await stage.open(router2);
	await page.says('This router is the reference');
	await assertHarmless(page);
	await page.page.getByRole('radio', { name: 'Join another router' }).check();
	await page.page.getByLabel('Paste the whole text here:').fill(text);
	await page.press('Join');
	await page.says(`This router has joined ${EVIL}.`);

	await assertHarmless(page);
});

test('of a waiting router, and in the dialog that accepts it', async () => {
	const key = '0123456789abcdef'.repeat(4);
	const [router1, router2] = [await stage.fresh('router1'), await stage.fresh('router2')];
	for (const router of [router1, router2])
		router.write('etc/owsync/key', key);
	const main = (name) => `config owsync 'main'\n\toption enabled '1'\n\toption name '${name}'\n\toption dir '/etc/config'\n\tlist include 'dhcp'\n`;
	router1.write('etc/config/owsync', `${main(EVIL)}\tlist peer '${router2.address}'\n`);
	router2.write('etc/config/owsync', main('router2'));
	router1.service.start();
	router2.service.start();
	await router2.untilStatus('a router waits', ({ waiting }) => waiting.length == 1);

	const page = await stage.open(router2);
	await page.says(`${EVIL} asks to be accepted.`, '.owsync-verdict');
	await page.press('Review and accept');
	await page.says(EVIL, '.modal');

	await assertHarmless(page);
	await page.shot('hostile-accept');
});

test('among the files that a filter matches', async () => {
	const [router1] = await pair();

	const page = await stage.open(router1, 'admin/services/owsync/settings');
	await page.page.locator('.cbi-tabmenu > li[data-tab="shares"] > a').first().click();
	await page.page.locator('tr[data-sid="files"]').getByRole('button', { name: 'Edit' }).click();
	await page.says(FILES[0], '.modal');

	await assertHarmless(page);
});

test('whatever a daemon says in place of any text', async () => {
	const [router1] = await stage.pair();
	// Every text that a status holds.
	const spoil = (value) => typeof value == 'string' ? EVIL : Array.isArray(value) ? value.map(spoil) : value && typeof value == 'object'
		? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, spoil(one)])) : value;
	router1.rpcd.altered = (object, method, [status, data]) => [status, spoil(data)];

	for (const place of [undefined, 'admin/services/owsync/history', 'admin/services/owsync/settings', 'admin/status/overview']) {
		const page = await stage.open(router1, place);
		await until('it was polled', () => page.page.evaluate(() => (window.polls ?? 2) >= 2));
		await page.page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
		await assertHarmless(page);
	}
});
