'use strict';
// Options that stay on one router: chosen when a cluster is set up, and later; what a merge did not take.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { REPOSITORY } = require('../router/router');
const { Stage } = require('../stage');
const { packages } = require('../stories');
const { until } = require('../until');

const stage = new Stage();
const HISTORY = 'admin/services/owsync/history';

const RULES = 'config rule\n\toption name \'Allow-Ping\'\n\toption target \'ACCEPT\'\n\nconfig rule\n\toption target \'DROP\'\n\nconfig rule\n\toption target \'REJECT\'\n';
const FILES = { ...packages(), rules: RULES };
const INCLUDED = '\tlist include \'dhcp\'\n\tlist include \'rules\'\n';

const patterns = (router) => [...router.read('etc/config/owsync').matchAll(/list local '(.*)'/g)].map(([, text]) => text);
const start = (router) => /option start '(\d+)'/.exec(router.read('etc/config/dhcp'))?.[1];

// The rows of the table in the dialog: option, value, why, and its tick.
const rows = (page) => page.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.modal tbody tr')].map((row) => {
	const box = row.querySelector('input');
	return [row.children[1].innerText, { value: row.children[2].innerText, why: row.children[3].innerText.trim(),
		ticked: box.checked, disabled: box.disabled, title: box.title }];
})));

async function locals(page, name) {
	await page.press('Local options: main');
	await page.says('belong to this router', '.modal h4');
	await page.page.locator('.modal').getByLabel('Package').selectOption(name);
}

test('each option of a package is listed with its value, and whether it belongs to this router', async () => {
	const [router1, router2] = await stage.pair({ options: `${INCLUDED}\tlist local 'dhcp.lan.s*'\n`, files: FILES });
	const page = await stage.open(router1);

	await locals(page, 'dhcp');

	assert.deepEqual(await rows(page), {
		'@dnsmasq[0].domainneeded': { value: '\'1\'', why: '', ticked: false, disabled: false, title: '' },
		'@dnsmasq[0].domain': { value: '\'lan\'', why: '', ticked: false, disabled: false, title: '' },
		'lan.interface': { value: '\'lan\'', why: '', ticked: false, disabled: false, title: '' },
		'lan.start': { value: '\'100\'', why: 'pattern dhcp.lan.s*', ticked: true, disabled: false, title: '' },
	});
	await page.shot('local');
	// A pattern cannot name one of two rules without a name: such an option has no tick that works.
	await page.page.locator('.modal').getByLabel('Package').selectOption('rules');
	const listed = await rows(page);
	assert.deepEqual([listed['@rule[name=Allow-Ping].target'].disabled, listed['@rule[1].target'].disabled], [false, true]);
	assert.match(listed['@rule[1].target'].title, /no name of its own/);
	// The other router has it from there.
	const other = await stage.open(router2, undefined, { phone: true });
	await locals(other, 'dhcp');
	const marked = (await rows(other))['lan.start'];
	assert.deepEqual([marked.ticked, marked.disabled, marked.why.includes('on every router')], [true, true, true]);
	await other.shot('local-phone');
});

test('a tick adds the pattern of an option, and without it the pattern is gone or excluded', async () => {
	const [router1, router2] = await stage.pair({ options: `${INCLUDED}\tlist local 'dhcp.lan.i*'\n`, files: FILES });
	const page = await stage.open(router1);
	await locals(page, 'dhcp');

	const box = (name) => page.page.locator('.modal').getByRole('checkbox', { name, exact: true });
	await box('dhcp.lan.start').check();
	// What was ticked in a package stays so while another one is shown.
	await page.page.locator('.modal').getByLabel('Package').selectOption('rules');
	await box('rules.@rule[name=Allow-Ping].target').check();
	await page.page.locator('.modal').getByLabel('Package').selectOption('dhcp');
	assert.ok(await box('dhcp.lan.start').isChecked());
	await page.press('Save', '.modal');

	await page.says('keep their own values on every router from now on');
	assert.deepEqual(patterns(router1), ['dhcp.lan.i*', 'dhcp.lan.start', 'rules.@rule[name=Allow-Ping].target']);
	// It is in force: each router keeps its own value.
	await until('the other router knows', async () => (await router2.ask('local', {})).local.length == 3);
	router1.write('etc/config/dhcp', router1.read('etc/config/dhcp').replace('\'100\'', '\'50\'').replace('\'lan\'', '\'home\''));
	await until('what is shared is there', () => router2.read('etc/config/dhcp').includes('option domain \'home\''));
	assert.deepEqual([start(router1), start(router2)], ['50', '100']);

	await locals(page, 'dhcp');
	await box('dhcp.lan.start').uncheck();
	await box('dhcp.lan.interface').uncheck();
	await page.press('Save', '.modal');

	await page.says('No pattern of this router covers these options any more.');
	assert.deepEqual(patterns(router1), ['dhcp.lan.i*', 'rules.@rule[name=Allow-Ping].target', '!dhcp.lan.interface']);
	assert.equal(router1.check().code, 0);
	// They stay local until a router gives its value to all.
	await locals(page, 'dhcp');
	assert.match((await rows(page))['lan.start'].why, /^on every router/);
	await page.press('Give this value to all: dhcp.lan.start', '.modal');
	await page.says('Give this value to all routers?', '.modal h4');
	await page.says('dhcp.lan.start = \'50\'', '.modal');
	assert.equal(start(router2), '100', 'nothing is done before the answer');
	await page.shot('local-share');
	await page.press('Give it to all', '.modal');
	await page.says('dhcp.lan.start is synced from now on.');
	await until('the other router has the value', () => start(router2) == '50');
});

test('what the daemon refuses is said in the dialog, and nothing is written', async () => {
	const many = Array.from({ length: 64 }, (_, n) => `\tlist local 'dhcp.lan.x${n}'\n`).join('');
	const [router1] = await stage.pair({ options: INCLUDED + many, files: FILES });
	const page = await stage.open(router1);
	await locals(page, 'dhcp');

	await page.page.locator('.modal').getByRole('checkbox', { name: 'dhcp.lan.start', exact: true }).check();
	await page.press('Save', '.modal');

	await page.says('at most 64 patterns', '.modal [role="alert"]');
	assert.equal(patterns(router1).length, 64);
});

test('a share other than main is changed in its own section, and a reader has no such button', async () => {
	const sections = '\nconfig share \'more\'\n\toption dir \'/etc/more\'\n\tlist include \'*\'\n\toption reload \'uci\'\n';
	const router = await stage.fresh('router1', FILES);
	router.write('etc/more/vpn', 'config peer \'office\'\n\toption mtu \'1400\'\n');
	router.write('etc/config/owsync', `config owsync 'main'\n\toption enabled '1'\n\toption dir '/etc/config'\n${INCLUDED}${sections}`);
	router.service.start();
	await router.untilStatus('its object is there', () => true);
	await router.ask('init', {});
	await router.untilStatus('it was scanned', ({ shares }) => shares.more?.files == 1);
	const page = await stage.open(router);

	await page.press('Local options: more');
	await page.page.locator('.modal').getByRole('checkbox', { name: 'vpn.office.mtu', exact: true }).check();
	await page.press('Save', '.modal');

	await page.says('from now on');
	assert.match(router.read('etc/config/owsync').split('config share')[1], /list local 'vpn\.office\.mtu'/);
	assert.deepEqual((await router.ask('local', {})).local.map(({ share, option }) => [share, option]), [['more', 'vpn.office.mtu']]);
	const reader = await stage.open(router, undefined, { parts: ['read'] });
	await reader.says('more');
	assert.equal(await reader.page.getByRole('button', { name: /Local options/ }).count(), 0);
});

test('the first router is offered what belongs to one router, and keeps it so', async () => {
	const system = 'config system\n\toption hostname \'attic\'\n\toption zonename \'UTC\'\n';
	const network = 'config interface \'lan\'\n\toption proto \'static\'\n\toption ipaddr \'192.168.1.1\'\n\toption netmask \'255.255.255.0\'\n';
	const router = await stage.fresh('router1', packages({ system, network }));
	const page = await stage.open(router);
	const shown = () => page.page.evaluate(() => [...document.querySelectorAll('.owsync-packages input')]
		.filter((box) => box.checkVisibility() && box.value.includes('.')).map((box) => [box.value, box.checked]));
	await page.says('What to keep in sync');
	assert.deepEqual(await shown(), [], 'nothing of the suggested packages belongs to one router');

	await page.page.getByRole('checkbox', { name: /^network/ }).check();
	await page.page.getByRole('checkbox', { name: /^system/ }).check();
	await page.page.getByRole('checkbox', { name: 'firewall' }).uncheck();
	assert.deepEqual((await shown()).map(([pattern, ticked]) => [pattern.split('.')[0], ticked]),
		[['system', true], ...Array(4).fill(['network', true])]);
	await page.shot('first-run-local');
	await page.press('Make this router the reference');
	await page.says('Now the other router');

	// Patterns that match nothing here are left out.
	assert.deepEqual(patterns(router), ['system.@system[0].hostname', 'network.*.ipaddr']);
	await until('it is in force', async () => (await router.ask('local', {})).local.length == 2);
	assert.deepEqual((await router.status()).shares.main.local_without_match ?? [], []);
});

test('the page suggests the patterns that owsync init suggests', () => {
	const listed = (file, from, to) => [...fs.readFileSync(path.join(REPOSITORY, file), 'utf8').split(from)[1].split(to)[0]
		.matchAll(/["']([a-z]+\.[^"']*)["']/g)].map(([, text]) => text);
	const daemon = listed('src/uci/local.rs', 'pub const USUAL', '];');
	assert.ok(daemon.length > 5, daemon);
	assert.deepEqual(listed('luci-app-owsync/htdocs/luci-static/resources/owsync/usual.js', 'const USUAL', '];'), daemon);
});

// Two routers that changed one option each to another value, and another one each, before they saw each other.
async function merged() {
	const [router1, router2] = await stage.pair({ files: packages({ dhcp: 'config dhcp \'lan\'\n\toption start \'100\'\n\toption limit \'150\'\n\nconfig dnsmasq\n\toption domain \'lan\'\n' }) });
	const change = async (router, from, to) => {
		const before = (await router.status()).counters.edited;
		router.write('etc/config/dhcp', router.read('etc/config/dhcp').replace(from, to));
		await router.untilStatus('it was noticed', ({ counters }) => counters.edited > before);
	};
	router1.space.cable('down');
	await change(router1, '\'150\'', '\'50\'');
	await change(router2, '\'150\'', '\'250\'');
	await change(router2, 'domain \'lan\'', 'domain \'home\'');
	router1.space.cable('up');
	await router1.untilStatus('it merged', ({ counters }) => counters.merges == 1);
	await Promise.all([router1, router2].map((router) => router.untilInSync()));
	return [router1, router2];
}

test('what a merge did not take is a table, from which a value is put in force on both routers', async () => {
	const [router1, router2] = await merged();
	assert.match(router2.read('etc/config/dhcp'), /option limit '250'/);
	const page = await stage.open(router1);

	await page.press('Other values');

	await page.says('what the merge did not take', '.modal h4');
	const cells = await page.page.evaluate(() => [...document.querySelectorAll('.modal tbody tr')].map((row) =>
		[...row.children].map((cell) => cell.innerText.trim())));
	assert.deepEqual(cells, [['lan.limit', '50', '250', 'Use this value']]);
	await page.shot('merged');
	await page.press('Use this value: lan.limit', '.modal');
	await page.says('taken', '.modal');
	for (const router of [router1, router2])
		await until('it is in force', () => /option limit '50'/.test(router.read('etc/config/dhcp')) && /option domain 'home'/.test(router.read('etc/config/dhcp')));
	await page.press('Close', '.modal');
	await page.press('Other values');
	await page.says('Nothing of it differs any more.', '.modal');
	// Who may only read sees that there was a merge, and no button.
	const reader = await stage.open(router1, undefined, { parts: ['read'] });
	await reader.says('merged');
	assert.equal(await reader.page.getByRole('button', { name: 'Other values' }).count(), 0);
});

test('a version of a package is compared by option, and one of its values is taken alone', async () => {
	const [router1, router2] = await stage.pair();
	router1.write('etc/config/dhcp', router1.read('etc/config/dhcp').replace('\'100\'', '\'20\'').replace('domain \'lan\'', 'domain \'home\''));
	await until('it is there', () => start(router2) == '20');
	const page = await stage.open(router2, HISTORY);

	await page.press(/^Compare: main: dhcp/);
	await page.press('Show options', '.modal');

	await page.says('Each value of this version can be taken alone', '.modal');
	await page.shot('history-options');
	await page.press('Use this value: lan.start', '.modal');
	await page.says('taken', '.modal');
	for (const router of [router1, router2])
		await until('only that value is back', () => start(router) == '100' && router.read('etc/config/dhcp').includes('domain \'home\''));
	await page.press('Show lines', '.modal');
	await page.says('Red lines are in this version', '.modal');
});

test('a version that was not merged is merged by hand', async () => {
	const [router1, router2] = await stage.pair();
	const dhcp = router1.read('etc/config/dhcp');
	// Without merging, the newer file replaces the other one.
	const options = (router, more) => router.write('etc/config/owsync', router.read('etc/config/owsync').replace(/(option dir .*\n)/, `$1${more}`));
	for (const router of [router1, router2]) {
		options(router, '\toption merge \'0\'\n');
		await router.service.reload();
	}
	const change = async (router, text) => {
		const before = (await router.status()).counters.edited;
		router.write('etc/config/dhcp', text);
		await router.untilStatus('it was noticed', ({ counters }) => counters.edited > before);
	};
	router2.space.cable('down');
	await change(router2, dhcp.replace('\'100\'', '\'20\''));
	await change(router1, dhcp.replace('domain \'lan\'', 'domain \'home\''));
	router2.space.cable('up');
	await until('the newer one won', () => router2.read('etc/config/dhcp') == router1.read('etc/config/dhcp'));
	const page = await stage.open(router2, HISTORY);

	await page.page.getByRole('row').filter({ hasText: 'lost a conflict' }).getByRole('button', { name: /^Compare/ }).first().click();
	await page.press('Merge', '.modal');
	await page.says('Where both changed an option, the present value stays.', '.modal');
	await page.shot('merge');
	await page.press('Merge it', '.modal');

	await page.says('dhcp was merged.');
	for (const router of [router1, router2])
		await until('both changes are in force', () => start(router) == '20' && router.read('etc/config/dhcp').includes('domain \'home\''));
});
