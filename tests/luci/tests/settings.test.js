'use strict';
// The settings: what the page writes is what the daemon reads, for every option that it knows.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { REPOSITORY } = require('../router/router');
const { parse } = require('../router/uci');
const { Stage } = require('../stage');
const { until } = require('../until');

const stage = new Stage();
const SETTINGS = 'admin/services/owsync/settings';

// Every option that the daemon knows, with the sections it may stand in.
const KNOWN = [...fs.readFileSync(path.join(REPOSITORY, 'src/config/known.rs'), 'utf8')
	.matchAll(/Known \{\s*names: &\["(\w+)"[^\]]*\],\s*places: ([A-Z |]+),/g)]
	.map(([, name, places]) => ({ name, places: places.toLowerCase().split(' | ') }));

// No page reads or writes a key.
const NEVER = ['encryption_key'];

const SCRIPT = '/etc/owsync/script';
const IDENTITY = '0123456789abcdef'.repeat(4);

// Of each option a value that is not its default, and the line that `owsync check` prints of it; without one, the value itself.
// What the daemon does not act upon (the init script does) has no line: null.
const SHARE = {
	include: [['dhcp', 'sqm*'], 'include=dhcp\ninclude=sqm*'],
	exclude: [['*.bak'], 'exclude=*.bak'],
	local: [['network.lan.ipaddr', '!network.@route[0].gateway'], 'local=network.lan.ipaddr\nlocal=!network.@route[0].gateway'],
	direction: ['receive'], symlinks: ['copy'], max_file_size: ['2M', 'max_file_size=2097152'], allow_setuid: [true, 'allow_setuid=1'],
	delete_guard: ['25'], min_free: ['3M', 'min_free=3145728'], reload: ['uci'], mode: ['manual'], propagate_deletions: ['send'],
	confirm: ['45'], validate: [SCRIPT], probe: [SCRIPT], soft_max_time: ['2m', 'soft_max_time=120'], hard_max_time: ['300'],
	hook: [SCRIPT], hook_timeout: ['45'], release_guard: [false, 'release_guard=0'],
	propagate_approvals: [false, 'propagate_approvals=0'], merge: [false, 'merge=0'],
};
const VALUES = {
	main: {
		...SHARE,
		name: ['edge'], bind_host: ['0.0.0.0'], port: ['4400'], key_file: ['/etc/owsync/other.key'],
		previous_key_file: ['/etc/owsync/old.key', '# a second key is accepted'], accept: ['key'], first_sync: ['newest'],
		poll_interval: ['90'], settle_ms: ['500'], settle_max: ['3'], max_clock_skew: ['5m', 'max_clock_skew=300'], max_sessions: ['32'],
		log_level: ['3'], history_size: ['2M', 'history_size=2097152'], history_days: ['7'], history_versions: ['3'],
		firewall_rule: [true, null], firewall_zone: [['vpn'], null], mdns: [true, null], release: ['24.10.4'],
		metrics_file: ['/var/run/owsync.prom'],
		peer: [['192.168.1.77'], '[peer 192.168.1.77]'], dir: ['/etc/shared'],
		// In tests of their own, below.
		enabled: undefined, plain_mode: undefined, database: undefined, network: undefined,
	},
	share: { ...SHARE, include: [['*.conf'], 'include=*.conf'], dir: ['/etc/further'], enabled: [false, 'enabled=0'] },
	peer: {
		enabled: [false, 'enabled=0'], address: ['router9.lan', 'address=router9.lan:4444'], port: ['4444', 'address=router9.lan:4444'],
		source_address: ['192.168.1.1'], public_key: [IDENTITY], introducer: [true, 'introducer=1'],
		share: [['main'], 'share=main'], direction: ['send'],
	},
};

const known = (place) => KNOWN.filter(({ name, places }) => places.includes(place) && !NEVER.includes(name)).map(({ name }) => name);

// Brings the tab into view that a field is in, also where it is in a dialog.
async function field(page, where, option) {
	const found = page.page.locator(`${where} .cbi-value[data-name="${option}"]`);
	// LuCI closes a tab by making it no pixel high.
	const tab = await found.evaluate((node) => node.closest('[data-tab-title]:not([data-tab-active="true"])')?.getAttribute('data-tab') ?? null);
	if (tab)
		await page.page.locator(`${where} .cbi-tabmenu > li[data-tab="${tab}"] > a`).first().click();
	return found;
}

async function fill(page, where, option, value) {
	const found = await field(page, where, option);
	if (typeof value == 'boolean')
		await found.locator('input[type="checkbox"]').setChecked(value);
	else if (Array.isArray(value))
		for (const one of value) {
			await found.locator('.add-item input').fill(one);
			await found.locator('.add-item input').press('Enter');
		}
	else if (await found.locator('select').count())
		await found.locator('select').selectOption(value);
	else {
		await found.locator('input').fill(value);
		await found.locator('input').press('Tab');
	}
}

async function openTab(page, name) {
	await page.page.locator(`.cbi-tabmenu > li[data-tab="${name}"] > a`).first().click();
}

// Opens the dialog of a row.
async function edit(page, tab, id, title) {
	await openTab(page, tab);
	await page.page.locator(`tr[data-sid="${id}"]`).getByRole('button', { name: 'Edit' }).click();
	await page.says(title, '.modal h4');
}

// Makes a section with this name, and opens its dialog.
async function add(page, tab, name, title) {
	await openTab(page, tab);
	await page.page.locator(`[data-tab="${tab}"] .cbi-section-create-name`).pressSequentially(name);
	await page.page.locator(`[data-tab="${tab}"] .cbi-section-create`).getByRole('button', { name: 'Add' }).click();
	await page.says(title, '.modal h4');
}

const MAIN = '.cbi-map > .cbi-section';

async function fillAll(page, where, place, options) {
	for (const option of options)
		if (VALUES[place][option])
			await fill(page, where, option, VALUES[place][option][0]);
}

// Saves, applies, and waits until the page is there again.
async function apply(page) {
	await Promise.all([page.page.waitForEvent('load'), page.press('Save & Apply', '.cbi-page-actions')]);
	await page.viewed();
}

async function saveDialog(page) {
	await page.press('Save', '.modal');
	await page.page.locator('body:not(.modal-overlay-active)').waitFor();
}

function section(router, type, name) {
	return parse(router.read('etc/config/owsync')).find((one) => one['.type'] == type && (!name || one['.name'] == name));
}

const written = (value) => typeof value == 'boolean' ? String(Number(value)) : value;

// What the page wrote stands in the package, and the daemon reads it, with nothing to be said about it.
function assertRead(router, place, name, options) {
	const { code, said } = router.check();
	assert.equal(code, 0, said);
	const head = name ? `[${place} ${name}]` : '';
	const lines = name ? said.slice(said.indexOf(head)).split('\n\n')[0] : said;
	const found = section(router, place == 'main' || name == 'main' ? 'owsync' : place, name == 'main' ? undefined : name);
	for (const option of options) {
		if (!VALUES[place][option])
			continue;
		const [value, line = `${option}=${value}`] = VALUES[place][option];
		assert.deepEqual(found[option], written(value), option);
		if (line !== null)
			assert.ok(`\n${lines}\n`.includes(`\n${line}`), `${line} is not in:\n${lines}`);
	}
}

// A router whose daemon runs, with everything that the values above name.
async function router() {
	const made = await stage.fresh();
	for (const name of ['key', 'other.key'])
		made.write(`etc/owsync/${name}`, IDENTITY);
	made.write('etc/owsync/old.key', 'f'.repeat(64));
	made.write('etc/owsync/script', '#!/bin/sh\nexit 0\n', 0o755);
	for (const directory of ['shared', 'further'])
		made.write(`etc/${directory}/x.conf`, 'x');
	made.write('etc/config/owsync', 'config owsync \'main\'\n\toption enabled \'1\'\n\toption dir \'/etc/config\'\n\tlist include \'dhcp\'\n');
	made.service.start();
	await made.untilStatus('it runs', () => true);
	return made;
}

test('every option that the daemon knows has a value in these tests', () => {
	assert.ok(KNOWN.length > 30, `${KNOWN.length}`);
	for (const place of ['main', 'share', 'peer'])
		assert.deepEqual(known(place).filter((name) => !(name in VALUES[place])), [], place);
});

test('every option that the page shows is one that the daemon knows', async () => {
	const one = await router();
	one.write('etc/config/owsync', `${one.read('etc/config/owsync')}\nconfig peer 'p'\n\toption address '192.168.1.9'\n\nconfig share 's'\n\toption dir '/etc/further'\n`);
	const page = await stage.open(one, SETTINGS);
	const shown = (where) => page.page.evaluate((selector) => [...document.querySelectorAll(`${selector} .cbi-value[data-name]`)]
		.map((node) => node.getAttribute('data-name')).filter((name) => !name.startsWith('_')), where);
	const main = await shown('#maincontent');
	for (const [id, place, tab, title] of [['main', 'main', 'shares', 'Share main'], ['s', 'share', 'shares', 'Share s'], ['p', 'peer', 'peers', 'Peer p']]) {
		await edit(page, tab, id, title);
		const options = await shown('.modal');
		if (place == 'main')
			main.push(...options);
		else
			assert.deepEqual(options.sort(), known(place).sort(), place);
		await page.press('Dismiss', '.modal');
	}
	assert.deepEqual([...new Set(main)].sort(), known('main').filter((name) => name != 'direction' || main.includes(name)).sort());
});

test('General, Peers and Advanced: what the page writes the daemon reads', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	await page.shot('settings');
	const options = known('main').filter((name) => !(name in SHARE) || name.startsWith('hook')).filter((name) => name != 'dir');

	await fillAll(page, MAIN, 'main', options);
	await page.shot('settings-advanced');
	await apply(page);

	assertRead(one, 'main', '', options);
	assert.deepEqual(one.warnings(), []);
	// No restart is needed.
	await one.untilStatus('it is in force', ({ name, listen }) => name == 'edge' && listen.includes('0.0.0.0:4400'));
	assert.equal(await (await field(page, MAIN, 'poll_interval')).locator('input').inputValue(), '90');
});

// F133
test('networks to listen on, by their names', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'network', ['lan', 'vpn']);
	await apply(page);

	assert.deepEqual(section(one, 'owsync').network, ['lan', 'vpn']);
	const { code, said } = one.check();
	assert.equal(code, 0, said);
	assert.ok(said.includes('listening on the addresses of lan, vpn'), said);
	assert.deepEqual(one.warnings(), ['no peer is configured: this node only waits for connections']);
});

test('the share main: what the page writes the daemon reads', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	const options = [...known('main').filter((name) => name in SHARE && !name.startsWith('hook')), 'dir'];

	await edit(page, 'shares', 'main', 'Share main');
	await fillAll(page, '.modal', 'main', options);
	await page.shot('settings-share');
	await saveDialog(page);
	await apply(page);

	const { include } = section(one, 'owsync');
	// It had one already.
	assert.deepEqual(include, ['dhcp', 'sqm*']);
	assertRead(one, 'main', '', options.filter((name) => name != 'include'));
	await one.untilStatus('it is in force', ({ shares }) => shares.main.dir == '/etc/shared');
});

test('a further share: what the page writes the daemon reads', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);

	await add(page, 'shares', 'further', 'Share further');
	await fillAll(page, '.modal', 'share', known('share'));
	await saveDialog(page);
	await page.shot('settings-shares');
	await apply(page);

	assertRead(one, 'share', 'further', known('share'));
	assert.deepEqual(one.warnings(), ['no peer is configured: this node only waits for connections']);
});

test('a peer: what the page writes the daemon reads', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);

	await add(page, 'peers', 'router9', 'Peer router9');
	await page.shot('settings-peer');
	await fillAll(page, '.modal', 'peer', known('peer'));
	await saveDialog(page);
	await page.shot('settings-peers');
	await apply(page);

	assertRead(one, 'peer', 'router9', known('peer'));
	assert.deepEqual(one.warnings(), []);
	await one.untilStatus('it is in force', ({ peers }) => peers.router9);

	// Switched on again in the grid, and gone by its button.
	await openTab(page, 'peers');
	await page.page.locator('tr[data-sid="router9"]').getByRole('checkbox').check();
	await apply(page);
	assert.equal(section(one, 'peer', 'router9').enabled, undefined);
	await openTab(page, 'peers');
	await page.page.locator('tr[data-sid="router9"]').getByRole('button', { name: 'Delete' }).click();
	await page.page.locator('tr[data-sid="router9"]').waitFor({ state: 'detached' });
	await apply(page);
	assert.equal(section(one, 'peer'), undefined);
});

test('a field that is emptied takes its option out, and a default is not written', async () => {
	const one = await router();
	one.write('etc/config/owsync', 'config owsync \'main\'\n\toption enabled \'1\'\n\toption poll_interval \'90\'\n\toption accept \'key\'\n\toption dir \'/etc/config\'\n\tlist include \'dhcp\'\n');
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'poll_interval', '');
	await fill(page, MAIN, 'accept', 'known');
	await apply(page);

	assert.deepEqual(section(one, 'owsync'), { '.name': 'main', '.type': 'owsync', '.anonymous': false, enabled: '1', dir: '/etc/config', include: ['dhcp'] });
});

test('Enabled stops and starts the service, now and for the next boot', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'enabled', false);
	await apply(page);
	await until('it ends', () => !one.service.running && !one.service.enabled);
	assert.notEqual(section(one, 'owsync').enabled, '1');

	await fill(page, MAIN, 'enabled', true);
	await apply(page);
	await until('it starts', () => one.service.running && one.service.enabled);
});

test('a slow init script hears of everything before the page loads again', async () => {
	const one = await router();
	await one.service.stop();
	one.service.enabled = false;
	one.write('etc/config/owsync', one.read('etc/config/owsync').replace('enabled \'1\'', 'enabled \'0\''));
	// A service that was never started has no trigger, and no other program starts it.
	one.changed = async () => {};
	const { action } = one.service;
	let again;
	const loaded = new Promise((resolve) => { again = resolve; });
	one.service.action = async function(name) {
		if (name == 'enable')
			await loaded;
		return action.call(this, name);
	};
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'enabled', true);
	await apply(page);
	again();

	await until('it starts', () => one.service.running && one.service.enabled);
});

test('another database is said to need a restart, and is in use after it', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'database', '/etc/owsync/other.db');
	await apply(page);

	assert.match(one.check().said, /^database=\/etc\/owsync\/other.db$/m);
	await one.untilStatus('it says so', ({ problems }) => problems.some((problem) => /needs a restart/.test(problem)));
	const overview = await stage.open(one);
	await overview.says(/needs a restart/, '.owsync-verdict');
	await overview.shot('restart');
	await one.service.action('restart');
	await one.untilStatus('it is in use', ({ database }) => database == '/etc/owsync/other.db');
});

test('without encryption is a switch, and the daemon says what stands in its way', async () => {
	const one = await stage.fresh();
	one.write('etc/config/owsync', 'config owsync \'main\'\n\toption enabled \'1\'\n\toption dir \'/etc/config\'\n\tlist include \'dhcp\'\n\tlist peer \'192.168.1.9\'\n');
	one.service.start();
	const page = await stage.open(one, SETTINGS);

	await fill(page, MAIN, 'plain_mode', true);
	await apply(page);

	assert.match(one.check().said, /^plain_mode=1$/m);
	await one.untilStatus('it is in force', ({ encryption, listen }) => encryption === false && listen.length > 0);
});

// A value that the daemon would refuse, by option.
const WRONG = { port: '70000', poll_interval: 'soon', settle_ms: '2001', settle_max: '11m', max_clock_skew: '5 min', history_size: 'big', history_versions: '0',
	key_file: 'key', database: 'db' };

for (const [option, value] of Object.entries(WRONG))
	test(`a wrong value is refused where it is typed: ${option}`, async () => {
		const one = await router();
		const before = one.read('etc/config/owsync');
		const page = await stage.open(one, SETTINGS);

		await fill(page, MAIN, option, value);
		await page.press('Save', '.cbi-page-actions');

		await page.says('invalid input value', '.modal');
		assert.equal(await (await field(page, MAIN, option)).locator('.cbi-input-invalid').count(), 1);
		assert.equal(one.read('etc/config/owsync'), before);
		// What LuCI throws where it refused.
		await page.page.evaluate(() => { window.faults.length = 0; });
		page.faults.length = 0;
	});

test('a share with patterns needs a directory: without one the daemon would refuse the package', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	await edit(page, 'shares', 'main', 'Share main');

	await fill(page, '.modal', 'dir', '');
	await page.press('Save', '.modal');

	await page.page.locator('.modal .cbi-value[data-name="dir"] .cbi-input-invalid').waitFor();
	assert.ok(await page.page.locator('body.modal-overlay-active').count());
	assert.equal(section(one, 'owsync').dir, '/etc/config');
});

test('an introducer needs an identity: without one the daemon would refuse the package', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	await add(page, 'peers', 'router9', 'Peer router9');

	await fill(page, '.modal', 'address', 'router9.lan');
	await fill(page, '.modal', 'introducer', true);
	await page.press('Save', '.modal');

	await page.page.locator('.modal .cbi-value[data-name="public_key"] .cbi-input-invalid').waitFor();
	await fill(page, '.modal', 'public_key', IDENTITY);
	await saveDialog(page);
	await apply(page);
	assert.equal(section(one, 'peer', 'router9').introducer, '1');
	assert.equal(one.check().code, 0);
});

// F99
test('a pattern that cannot be meant is refused where it is typed, and an odd one is commented', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	await edit(page, 'shares', 'main', 'Share main');
	const include = await field(page, '.modal', 'include');

	await include.locator('.add-item input').fill('{sqm,system}');
	await include.locator('.add-item input').press('Tab');
	await include.locator('.cbi-input-invalid').waitFor();
	await include.locator('.add-item input').fill('');
	await include.locator('.add-item input').press('Tab');
	await fill(page, '.modal', 'include', ['sqm, system', '/etc/config/sqm', '/etc/openvpn/key']);
	await page.says('sqm, system: The pattern has a comma', '.modal .owsync-hints');
	await page.says('“sqm” is used', '.modal .owsync-hints');
	await page.says('it only matches /etc/config/etc/openvpn/key', '.modal .owsync-hints');
	await page.says(/sqm/, '.modal .owsync-matches');
	await page.shot('settings-hints');
	await saveDialog(page);
	await apply(page);

	// The daemon says the same, and syncs the same.
	assert.equal(one.warnings().filter((line) => line.includes('the pattern')).length, 3, one.warnings().join('\n'));
	await one.untilStatus('it takes the path as it is meant', ({ shares }) => shares.main.files == 2);
});

test('files that the filters match are shown while they are typed', async () => {
	const one = await router();
	const page = await stage.open(one, SETTINGS);
	await edit(page, 'shares', 'main', 'Share main');

	await page.says(/1 of \d+ files is synced|1 of \d+ files are synced/, '.modal');
	await fill(page, '.modal', 'include', ['*']);
	await fill(page, '.modal', 'exclude', ['sqm']);

	await page.says(/dropbear/, '.modal .owsync-matches');
	const shown = (await page.text('.modal .owsync-matches')).split('\n').map((name) => name.trim()).filter(Boolean);
	assert.deepEqual(shown.sort(), ['dhcp', 'dropbear', 'firewall', 'network', 'system', 'wireless']);
	await page.shot('settings-matches');
	// The daemon agrees.
	await saveDialog(page);
	await apply(page);
	const { files } = await one.untilStatus('they are scanned', ({ shares }) => shares.main.files == shown.length).then(() => one.ask('files', { share: 'main' }));
	assert.deepEqual(files.map(({ path: name }) => name).sort(), shown.sort());
});
