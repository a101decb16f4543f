'use strict';
// Previous versions: listed, filtered, compared, restored.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Stage } = require('../stage');
const { until } = require('../until');

const stage = new Stage();
const HISTORY = 'admin/services/owsync/history';

const domain = (name) => `config dnsmasq\n\toption domainneeded '1'\n\toption domain '${name}'\n\nconfig dhcp 'lan'\n\toption start '100'\n`;

// Two routers of which the second has previous versions: of dhcp two that were replaced, of sqm one that lost a conflict.
async function pair() {
	const [router1, router2] = await stage.pair();
	for (const name of ['first', 'second', 'third']) {
		router1.write('etc/config/dhcp', domain(name));
		await until('it is there', () => router2.read('etc/config/dhcp') == domain(name));
		await router2.untilInSync();
	}
	await router1.service.stop();
	router2.write('etc/config/sqm', 'config queue \'loses\'\n');
	await router2.untilStatus('it was noticed', ({ counters }) => counters.edited > 0);
	router1.write('etc/config/sqm', 'config queue \'wins\'\n');
	router1.service.start();
	await until('the newer one won', () => router2.read('etc/config/sqm') == router1.read('etc/config/sqm'));
	await Promise.all([router1, router2].map((router) => router.untilInSync()));
	return [router1, router2];
}

const rows = (page) => page.page.evaluate(() => [...document.querySelectorAll('#view tbody tr')].map((row) =>
	[row.querySelector('.owsync-path')?.innerText, row.children[2]?.innerText.trim()]));

test('the history is listed with why, conflicts marked, and filtered by file and reason', async () => {
	const [, router2] = await pair();

	const page = await stage.open(router2, HISTORY);

	await page.says(/lost a conflict/, 'tbody');
	const all = await rows(page);
	const { versions } = await router2.ask('history', {});
	assert.equal(all.length, versions.length);
	// The newest first.
	assert.deepEqual(all[0], ['sqm', 'lost a conflict']);
	await page.shot('history');
	await page.page.getByLabel('File').fill('DHC');
	await until('only that file is listed', async () => (await rows(page)).every(([path]) => path == 'dhcp'));
	await page.page.getByLabel('File').fill('');
	await page.page.getByLabel('Why it is here').selectOption({ label: 'lost a conflict' });
	await until('only conflicts are listed', async () => JSON.stringify(await rows(page)) == JSON.stringify([['sqm', 'lost a conflict']]));
	await page.page.getByLabel('File').fill('nothing');
	await page.says('There is no previous version');
});

test('a version is compared line by line, in either form, and brought back on both routers', async () => {
	const [router1, router2] = await pair();
	const page = await stage.open(router2, HISTORY, { dark: true });

	const compare = page.page.getByRole('button', { name: /^Compare: main: dhcp/ }).first();
	await compare.click();
	await page.says('option domain \'second\'', '.modal');
	await page.says('option domain \'third\'', '.modal');
	await page.shot('history-diff-dark');
	const cells = await page.page.evaluate(() => document.querySelector('.modal .owsync-diff tr:last-child').children.length);
	await page.press(/Show one below the other/, '.modal');
	assert.notEqual(await page.page.evaluate(() => document.querySelector('.modal .owsync-diff tr:last-child').children.length), cells);
	await page.shot('history-diff-unified');
	await page.press('Restore this version', '.modal');
	await page.press('Restore it', '.modal');

	for (const router of [router1, router2])
		await until('it is back', () => router.read('etc/config/dhcp') == domain('second'));
	await page.says('dhcp was restored.');
	// What it replaced is a version in its turn.
	const { versions } = await router2.ask('history', { path: 'main:dhcp' });
	assert.ok(versions.length >= 3, JSON.stringify(versions));
});

test('colours of a difference can be read, light and dark', async () => {
	const [, router2] = await pair();
	for (const dark of [false, true]) {
		const page = await stage.open(router2, HISTORY, { dark });
		await page.page.getByRole('button', { name: /^Compare: main: dhcp/ }).first().click();
		await page.says('option domain', '.modal');
		if (!dark)
			await page.shot('history-diff');
		const ratios = await page.page.evaluate(() => {
			const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
			const over = ([r, g, b, a = 1], below) => [r, g, b].map((one, n) => one * a + below[n] * (1 - a));
			const behind = (node) => node ? over(parts(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
			const light = (rgb) => rgb.map((one) => one / 255).map((one) => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
				.reduce((sum, one, n) => sum + one * [.2126, .7152, .0722][n], 0);
			return [...document.querySelectorAll('.modal .owsync-diff td')].filter((cell) => cell.innerText.trim()).map((cell) => {
				const [a, b] = [light(parts(getComputedStyle(cell).color).slice(0, 3)), light(behind(cell))].sort((x, y) => y - x);
				return (a + .05) / (b + .05);
			});
		});
		// WCAG 2.1, 1.4.3: 4.5 to 1 for text of this size; line numbers are no text to be read.
		assert.ok(Math.min(...ratios) >= 3 && ratios.filter((ratio) => ratio >= 4.5).length >= ratios.length / 2, `${dark ? 'dark' : 'light'}: ${ratios}`);
	}
});

test('what came together is undone together', async () => {
	const [router1, router2] = await stage.pair();
	const before = { dhcp: router2.read('etc/config/dhcp'), sqm: router2.read('etc/config/sqm') };
	router1.write('etc/config/dhcp', domain('undone'));
	router1.write('etc/config/sqm', 'config queue \'undone\'\n');
	await until('both are there', () => ['dhcp', 'sqm'].every((name) => /undone/.test(router2.read(`etc/config/${name}`))));

	const page = await stage.open(router2, HISTORY);
	await page.press(/^Undo all of it: main: (dhcp|sqm)/);
	await page.says(/These files were changed together/, '.modal');
	await page.shot('undo');
	await page.press('Undo all of it', '.modal');

	await page.says(/It was undone/);
	for (const router of [router1, router2])
		await until('both are as before', () => ['dhcp', 'sqm'].every((name) => router.read(`etc/config/${name}`) == before[name]));
});

test('a router without history says so', async () => {
	const router = await stage.running('router1', { options: '\tlist include \'dhcp\'\n' });
	const page = await stage.open(router, HISTORY);
	await page.says('There is no previous version.');
	await page.shot('history-empty');
	await router.service.stop();
	await page.says('owsync is not running on this router.');
});
