'use strict';
// Rights: who may only read sees the state, and never a key, a content or a button that acts.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { groups } = require('../router/rights');
const { APP } = require('../router/router');
const { Stage } = require('../stage');

const stage = new Stage();
const READER = { parts: ['read'] };

// What its pages asked for and were refused.
const refused = (router) => router.rpcd.refused;

test('a reader sees whether everything is in sync, and no button that acts', async () => {
	const [router1] = await stage.pair();

	const page = await stage.open(router1, undefined, READER);

	await page.says(/Everything is in sync since/);
	await page.says('This account has read access only.');
	assert.deepEqual(await page.page.locator('#view button:visible').allInnerTexts(), []);
	await page.shot('reader');
	assert.deepEqual(refused(router1), []);
});

test('a reader of a router that is down or held sees that, and is not asked to act', async () => {
	const [router1] = await stage.pair();
	const page = await stage.open(router1, undefined, READER);
	router1.rpcd.altered = (object, method, [status, data]) => {
		if (method == 'status')
			data.shares.main.hold = { reason: 'emptied', message: 'every file is gone', since: 1, needs_user: true };
		return [status, data];
	};
	await page.says(/owsync stopped syncing/);
	assert.deepEqual(await page.page.locator('#view button:visible').allInnerTexts(), []);

	await router1.service.stop();

	await page.says('owsync is not running on this router.');
	assert.deepEqual(await page.page.locator('#view button:visible').allInnerTexts(), []);
	assert.deepEqual(refused(router1), []);
});

test('a reader sees neither settings nor contents, and the pages say so', async () => {
	const [router1] = await stage.pair();

	const settings = await stage.open(router1, 'admin/services/owsync/settings', READER);
	await settings.says('This account may see the state of owsync');
	await settings.shot('reader-settings');
	const history = await stage.open(router1, 'admin/services/owsync/history', READER);
	await history.says('owsync: history');
	assert.deepEqual(await history.page.locator('#view button:visible').allInnerTexts(), []);
	const card = await stage.open(router1, 'admin/status/overview', READER);
	await card.says(/in sync/i, '[data-include]');
	assert.deepEqual(refused(router1), []);
});

test('a new router is nothing that a reader sets up', async () => {
	const router = await stage.fresh();

	const page = await stage.open(router, undefined, READER);

	await page.says('owsync is not running on this router.');
	assert.deepEqual(await page.page.locator('#view button:visible').allInnerTexts(), []);
	assert.deepEqual(refused(router), []);
});

test('the access list lets a reader have no key, no content and no act', async () => {
	const [router1] = await stage.pair();
	const reader = router1.rpcd.login(['read']);
	const methods = Object.keys((await router1.bus.lookup('owsync'))[1][0].methods);
	const may = [];
	for (const method of methods)
		if (router1.rpcd.sessions.get(reader).rights.grants('ubus', 'owsync', method))
			may.push(method);

	assert.deepEqual(may.sort(), ['history', 'peers', 'shares', 'status']);
	assert.deepEqual(await router1.rpcd.call(reader, 'uci', 'get', { config: 'owsync' }), [6]);
	assert.deepEqual(await router1.rpcd.call(reader, 'uci', 'set', { config: 'owsync', section: 'main', values: {} }), [-32002, 'Access denied']);
	assert.deepEqual(await router1.rpcd.call(reader, 'rc', 'init', { name: 'owsync', action: 'stop' }), [-32002, 'Access denied']);
	const key = router1.read('etc/owsync/key').trim();
	for (const method of may)
		assert.ok(!JSON.stringify(await router1.rpcd.call(reader, 'owsync', method, {})).includes(key), method);
	// The file with the key cannot be reached from any browser.
	for (const session of [reader, router1.rpcd.login()])
		assert.deepEqual(await router1.rpcd.call(session, 'file', 'read', { path: '/etc/owsync/key' }), [-32002, 'Access denied']);
});

test('every call that a page makes is granted to who may write, and no method that is not there', async () => {
	const [router1] = await stage.pair();
	const writer = router1.rpcd.sessions.get(router1.rpcd.login()).rights;
	const methods = Object.keys((await router1.bus.lookup('owsync'))[1][0].methods);
	const source = fs.readFileSync(path.join(APP, 'htdocs/luci-static/resources/owsync/daemon.js'), 'utf8');
	const called = [...source.matchAll(/declare\('(\w+)'/g)].map(([, name]) => name);
	const { read, write } = Object.values(groups(path.join(APP, 'root/usr/share/rpcd/acl.d')))[0];

	assert.ok(called.length > 15, `${called}`);
	assert.deepEqual(called.filter((method) => !methods.includes(method) || !writer.grants('ubus', 'owsync', method)), []);
	assert.deepEqual([...read.ubus.owsync, ...write.ubus.owsync].filter((method) => !methods.includes(method)), []);
});
