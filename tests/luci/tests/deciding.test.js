'use strict';
// Decisions of the user: the preview, and the decision either way.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const test = require('node:test');
const { Stage } = require('../stage');
const { packages } = require('../stories');
const { until } = require('../until');

const stage = new Stage();

// Enough files that their loss is held, in a share of their own.
const MANY = Array.from({ length: 12 }, (_, n) => `hosts/file${n}`);

// Two routers that also share /etc/hosts.d with those files.
async function many(options = '') {
	const sections = `\nconfig share 'hosts'\n\toption dir '/etc/hosts.d'\n\tlist include '*'\n${options}`;
	const hosts = (names) => Object.fromEntries(names.map((name) => [`../hosts.d/${name}`, name]));
	const router1 = await stage.running('router1', { options: '\tlist include \'dhcp\'\n', sections,
		files: { ...packages(), ...hosts(['first', ...MANY]) } });
	const router2 = await stage.running('router2', { files: hosts(['own']) });
	await router1.untilStatus('it was scanned', ({ shares }) => shares.hosts.files >= MANY.length + 1);
	const { join_text: text } = await router1.ask('init', {});
	await router2.ask('join', { text });
	await Promise.all([router1, router2].map((router) => router.untilInSync()));
	await until('they are there', () => MANY.every((name) => router2.exists(`etc/hosts.d/${name}`)));
	return [router1, router2];
}

async function held(options) {
	const [router1, router2] = await many(options);
	router1.remove('etc/hosts.d/hosts');
	await router1.untilStatus('it is held', ({ shares }) => shares.hosts.hold);
	return [router1, router2];
}

test('a hold says why, shows what either decision does, and rejecting it brings the files back', async () => {
	const [router1, router2] = await held();
	const page = await stage.open(router1);
	await page.says(/owsync stopped syncing, because/, '.owsync-verdict');
	await page.shot('held');

	await page.press('Review and decide');
	await page.says('Decide about hosts', '.modal');
	for (const name of MANY)
		await page.says(name, '.modal');
	await page.shot('hold');
	await page.press('Restore them', '.modal');

	await until('they are back', () => MANY.every((name) => router1.exists(`etc/hosts.d/${name}`)));
	assert.ok(MANY.every((name) => router2.exists(`etc/hosts.d/${name}`)));
	await page.says(/Everything is in sync since/);
});

test('approving a hold deletes the files on the other router as soon as it approves too, and keeps them in its history', async () => {
	const [router1, router2] = await held('\toption propagate_approvals \'0\'\n');
	const page = await stage.open(router1);

	await page.press('Review and decide');
	await page.press('Delete them everywhere', '.modal');

	// So many deletions need an approval on each router that does not trust the other one.
	const other = await stage.open(router2);
	await other.says(/files of hosts wait for your decision\./);
	assert.ok(MANY.every((name) => router2.exists(`etc/hosts.d/${name}`)));
	await other.press('Review and decide');
	// Why is said once, and without a command to type.
	assert.equal((await other.text('.modal')).match(/12 of 14 files/g).length, 1);
	assert.doesNotMatch(await other.text('.modal'), /owsync approve/);
	await other.shot('deletions');
	await other.press('Delete them here, too', '.modal');

	await until('they are gone there', () => MANY.every((name) => !router2.exists(`etc/hosts.d/${name}`)));
	await page.says(/Everything is in sync since/);
	const { versions } = await router2.ask('history', { share: 'hosts' });
	assert.equal(versions.filter(({ why }) => why == 'deleted').length, MANY.length);
});

test('an approval is passed on: the other router deletes the files without asking again', async () => {
	const [router1, router2] = await held();
	const page = await stage.open(router1);

	await page.press('Review and decide');
	await page.press('Delete them everywhere', '.modal');

	await until('they are gone there', () => MANY.every((name) => !router2.exists(`etc/hosts.d/${name}`)));
	await page.says(/Everything is in sync since/);
});

test('a share whose directory is gone is reported, and needs no decision: it resumes automatically', async () => {
	const [router1] = await many();
	fs.renameSync(router1.file('etc/hosts.d'), router1.file('etc/away'));
	await router1.untilStatus('it is held', ({ shares }) => shares.hosts.hold);

	const page = await stage.open(router1);
	await page.says('hosts is not synced, because the directory of hosts cannot be opened.', '.owsync-verdict');
	assert.equal(await page.button(/decide/i, '#view').count(), 0);
	await page.shot('directory-gone');
	fs.renameSync(router1.file('etc/away'), router1.file('etc/hosts.d'));

	await page.says(/Everything is in sync since/);
});

test('Not now leaves a hold as it is', async () => {
	const [router1] = await held();
	const page = await stage.open(router1);

	await page.press('Review and decide');
	await page.press('Not now', '.modal');

	await page.page.locator('body:not(.modal-overlay-active)').waitFor();
	assert.ok((await router1.status()).shares.hosts.hold);
});

test('where both routers have files of their own the user chooses', async () => {
	const domain = (name) => `config dnsmasq\n\toption domain '${name}'\n`;
	const options = '\tlist include \'dhcp\'\n\tlist include \'sqm\'\n\toption accept \'key\'\n';
	const key = '0123456789abcdef'.repeat(4);
	const router1 = await stage.fresh('router1', packages({ dhcp: domain('one'), sqm: domain('one') }));
	const router2 = await stage.fresh('router2', packages({ dhcp: domain('two'), sqm: domain('two') }));
	for (const [router, other] of [[router1, router2], [router2, router1]]) {
		router.write('etc/owsync/key', key);
		router.write('etc/config/owsync', `config owsync 'main'\n\toption enabled '1'\n\toption dir '/etc/config'\n${options}\tlist peer '${other.address}'\n`);
		router.service.start();
	}
	await router1.untilStatus('both wait', ({ shares }) => shares.main.pending?.filter(({ reason }) => reason == 'first_contact').length == 2);

	const page = await stage.open(router1);
	await page.says('2 files of main wait for your decision.');
	await page.press('Review and decide');
	await page.page.locator('.modal').getByLabel('sqm').uncheck();
	await page.shot('decide');
	await page.press('Keep this router’s', '.modal');
	await until('the one that was ticked is there', () => router2.read('etc/config/dhcp') == domain('one'));
	assert.equal(router2.read('etc/config/sqm'), domain('two'));
	await page.says('1 file of main waits for your decision.');
	await page.press('Review and decide');
	await page.press('Take the other router’s', '.modal');

	await until('theirs is here', () => router1.read('etc/config/sqm') == domain('two'));
	await page.says(/Everything is in sync since/);
});

test('an unconfirmed change is kept or rolled back by a button', async () => {
	const options = '\tlist include \'dhcp\'\n\tlist include \'firewall\'\n';
	const firewall = (name) => `config zone\n\toption name '${name}'\n`;
	const router1 = await stage.running('router1', { options });
	const router2 = await stage.running('router2', { files: { firewall: packages().firewall } });
	const { join_text: text } = await router1.ask('init', {});
	await router2.ask('join', { text });
	await router2.untilStatus('a change is unconfirmed', ({ shares }) => shares.main.unconfirmed);

	const page = await stage.open(router2);
	await page.says(/is unconfirmed/, '.owsync-verdict');
	await page.shot('trial');
	await page.press('Keep the change');
	await router2.untilStatus('it is kept', ({ shares }) => !shares.main.unconfirmed);
	await Promise.all([router1, router2].map((router) => router.untilInSync()));

	router1.write('etc/config/firewall', firewall('worse'));
	await router2.untilStatus('another one is unconfirmed', ({ shares }) => shares.main.unconfirmed);
	await page.press('Roll it back now');
	await page.press('Roll it back', '.modal');
	await until('what was there before is back', () => router2.read('etc/config/firewall') == packages().firewall);
});

test('uncommitted changes are applied on all routers, or rolled back with the reason', async () => {
	const [router1, router2] = await stage.pair();
	const page = await stage.open(router1);
	const session = [...router1.rpcd.sessions.keys()].at(-1);
	const change = (start) => router1.write(`var/run/rpcd/uci-${session}/dhcp`, `dhcp.lan.start='${start}'\n`);
	change('50');
	await page.says('Changes that are not applied yet are not synced: dhcp.');
	await page.shot('commit');
	await page.press('Save & Apply on all routers');
	await until('it is kept on both', () => [router1, router2].every((router) => router.read('etc/config/dhcp').includes('option start \'50\'')));
	await router1.untilStatus('its end is known', ({ shares }) => (shares.main.last_commit || {}).result == 'kept');
	await page.says(/Everything is in sync since/);

	router2.write('etc/config/owsync', router2.read('etc/config/owsync').replace('option enabled', 'option validate \'/bin/false\'\n\toption enabled'));
	await router2.ask('reload', {});
	change('60');
	await page.press('Save & Apply on all routers');
	await page.says(/rolled back: router2: dhcp/, '.owsync-verdict');
	assert.ok(router1.read('etc/config/dhcp').includes('option start \'50\''));
});

test('a pause has a reason and an end, is said, and Resume ends it', async () => {
	const [router1, router2] = await stage.pair();
	const page = await stage.open(router1);

	await page.press('Pause', '#view');
	await page.page.getByLabel('Reason').fill('moving to another provider');
	await page.page.getByLabel('How long').selectOption({ label: 'for an hour' });
	await page.shot('pause');
	await page.press('Pause', '.modal');

	await page.says('Syncing is paused.', '.owsync-verdict');
	await page.says('moving to another provider', '.owsync-verdict');
	await page.shot('paused');
	router2.write('etc/config/dhcp', 'config dnsmasq\n\toption domain \'meanwhile\'\n');
	await page.press('Resume', '.owsync-verdict');
	await until('what changed meanwhile is there', () => /meanwhile/.test(router1.read('etc/config/dhcp')));
	await page.says(/Everything is in sync since/);
});
