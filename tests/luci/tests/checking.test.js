'use strict';
// What a check refused, and shares that are synced by hand: said, and settled by a button.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Stage } = require('../stage');
const { until } = require('../until');

const stage = new Stage();
const domain = (name) => `config dnsmasq\n\toption domain '${name}'\n`;
const broken = 'config dnsmasq\n\toption domain \'unfinished\n';

test('a package that does not parse is refused with the reason, and is applied only if the user insists', async () => {
	const [router1, router2] = await stage.pair();
	const before = router2.read('etc/config/dhcp');

	router1.write('etc/config/dhcp', broken);
	await router2.untilStatus('it is refused', ({ shares }) => shares.main.pending?.some(({ reason }) => reason == 'refused'));

	const page = await stage.open(router2);
	await page.says('The check of main refused a change of another router.', '.owsync-verdict');
	await page.says(/dhcp: refused by a check/, '.owsync-verdict');
	assert.equal(router2.read('etc/config/dhcp'), before);
	await page.press('Review and decide', '.owsync-verdict');
	await page.says(/refused by a check/, '.modal');
	await page.shot('refused');
	await page.press('Apply them all the same', '.modal');
	await until('it is there', () => router2.read('etc/config/dhcp') == broken);
});

test('a refused file is fixed where it was written', async () => {
	const [router1, router2] = await stage.pair();
	router1.write('etc/config/dhcp', broken);
	await router2.untilStatus('it is refused', ({ shares }) => shares.main.pending?.some(({ reason }) => reason == 'refused'));
	const page = await stage.open(router2);
	await page.says('The check of main refused a change of another router.', '.owsync-verdict');

	router1.write('etc/config/dhcp', domain('fixed'));

	await until('it is there', () => router2.read('etc/config/dhcp') == domain('fixed'));
	await page.says(/Everything is in sync since/);
});

test('what was changed in a share that is synced by hand is listed, and crosses with Sync now', async () => {
	const [router1, router2] = await stage.pair();
	router1.write('etc/config/owsync', router1.read('etc/config/owsync').replace('\toption dir', '\toption mode \'manual\'\n\toption dir'));
	await router1.untilStatus('it is synced by hand', ({ shares }) => shares.main.mode == 'manual');
	const page = await stage.open(router1);

	router1.write('etc/config/dhcp', domain('by hand'));

	await page.says('1 change of main waits for Sync now.', '.owsync-verdict');
	await page.page.locator('summary', { hasText: 'with a reason' }).click();
	await page.says(/dhcp It waits until you press Sync now/);
	await page.shot('manual');
	await page.press('Sync now', '.owsync-verdict');
	await page.says('Done: everything is in sync.', '.modal');
	assert.equal(router2.read('etc/config/dhcp'), domain('by hand'));
	await page.press('Close', '.modal');
	await page.says(/Everything is in sync since/);

	// What the other one changed waits here as well.
	router2.write('etc/config/sqm', domain('from there'));
	await page.says(/waits for Sync now/, '.owsync-verdict');
	await page.press('Sync now', '.owsync-verdict');
	await until('it is here', () => router1.read('etc/config/sqm') == domain('from there'));
});

test('the preview of Sync now names the options that would change', async () => {
	const [router1] = await stage.pair();
	router1.write('etc/config/owsync', router1.read('etc/config/owsync').replace('\toption dir', '\toption mode \'manual\'\n\toption dir'));
	await router1.untilStatus('it is synced by hand', ({ shares }) => shares.main.mode == 'manual');
	const page = await stage.open(router1);
	router1.write('etc/config/dhcp', router1.read('etc/config/dhcp').replace('\'lan\'\n\nconfig', '\'home\'\n\nconfig'));
	router1.write('etc/config/sqm', `# only a comment\n${router1.read('etc/config/sqm')}`);
	await page.says('2 changes of main wait for Sync now.', '.owsync-verdict');

	await page.press(/^\W?Preview Sync now\W?$/, '#view');

	await page.says('dhcp.@dnsmasq[0].domain: \'lan\' -> \'home\'', '.modal');
	await page.says('No option changes: only comments, quotes or the order of options.', '.modal');
	await page.shot('preview-options');
});
