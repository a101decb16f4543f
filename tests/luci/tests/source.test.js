'use strict';
// The app's sources: the linter of LuCI's repository, what LuCI's build makes of them, the template for translators; and the
// stand-in for LuCI's runtime itself, which offers nothing that LuCI does not.

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { minify } = require('../jsmin');
const { APP, REPOSITORY } = require('../router/router');
const { Stage } = require('../stage');

const stage = new Stage();
const HERE = path.join(__dirname, '..');

function sources(directory) {
	return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
		const name = path.join(directory, entry.name);
		return entry.isDirectory() ? sources(name) : name.endsWith('.js') ? [name] : [];
	});
}

test('the linter has nothing to say, with the rules of LuCI\'s repository', () => {
	const eslint = path.join(HERE, 'node_modules/eslint/bin/eslint.js');
	const { status, stdout, stderr } = spawnSync(process.execPath, [eslint, '--config', 'tests/luci/eslint.config.mjs', '--max-warnings', '0',
		'luci-app-owsync', 'tests/luci'], { cwd: REPOSITORY, encoding: 'utf8' });
	assert.equal(status, 0, stdout + stderr);
});

test('the template for translators is what the sources say', () => {
	execFileSync(process.execPath, [path.join(HERE, 'pot'), '--check'], { stdio: 'pipe' });
});

test('what LuCI\'s build leaves of a script is the same script', () => {
	for (const [source, minified] of [
		['a  =  b // c\nd', 'a=b\nd'], ['/* x */ if (a) {\n\tb;\n}\n', 'if(a){b;}'], ['a = \'  // no comment  \' ;', 'a=\'  // no comment  \';'],
		['x = a + +b', 'x=a+ +b'], ['y = c.match(/a  \\/[/ ]b/)', 'y=c.match(/a  \\/[/ ]b/)'], ['a = `x  ${y}`', 'a=`x  ${y}`'],
		['return  x', 'return x'], ['a\n++b', 'a\n++b'],
	])
		assert.equal(minify(source), minified);
	for (const file of sources(APP)) {
		const source = fs.readFileSync(file, 'utf8');
		const small = minify(source);
		assert.ok(small.length < source.length, file);
		// It is still a function's body.
		assert.doesNotThrow(() => new Function(small), file);
	}
});

test('every page does its work as LuCI\'s build leaves it', async () => {
	const [router1] = await stage.pair();
	const transform = (source) => minify(source);
	for (const [place, text] of [[undefined, /Everything is in sync since/], ['admin/services/owsync/settings', 'Who may connect'],
		['admin/services/owsync/history', 'owsync: history'], ['admin/status/overview', /in sync/i]]) {
		const page = await stage.open(router1, place, { transform });
		await page.says(text);
	}
	const page = await stage.open(await stage.fresh('empty'), undefined, { transform });
	await page.says('Which part does this router play?');
});

test('menu and rights name pages and groups that are there', () => {
	const read = (name) => JSON.parse(fs.readFileSync(path.join(APP, name), 'utf8'));
	const menu = read('root/usr/share/luci/menu.d/luci-app-owsync.json');
	const rights = read('root/usr/share/rpcd/acl.d/luci-app-owsync.json');
	for (const { action, depends } of Object.values(menu)) {
		if (action.type == 'view')
			assert.ok(fs.existsSync(path.join(APP, `htdocs/luci-static/resources/view/${action.path}.js`)), action.path);
		for (const group of depends?.acl ?? [])
			assert.ok(rights[group], group);
	}
});

test('the stand-in for LuCI\'s runtime offers no call that LuCI has not', async () => {
	const page = await stage.open(await stage.fresh());
	const { offered, listed } = await page.page.evaluate(async () => {
		const { end, files, PROPERTIES } = window.strict;
		const found = [];
		// Every name on the way from an object to the end of its prototypes, and of the classes it holds.
		const look = (file, object, seen = new Set()) => {
			for (let one = object; one && one !== end && one !== Object.prototype && !seen.has(one); one = Object.getPrototypeOf(one)) {
				seen.add(one);
				for (const name of Object.getOwnPropertyNames(one)) {
					const { value } = Object.getOwnPropertyDescriptor(one, name);
					if (typeof value == 'function')
						found.push([file, name]);
					if (typeof value == 'function' && value.__base__)
						look(file, value.prototype, seen);
				}
			}
		};
		look('luci', window.L);
		for (const part of [window.L.Request, window.L.Poll, window.L.dom])
			look('luci', part);
		for (const file of ['rpc', 'uci', 'ui', 'form', 'fs', 'validation'])
			look(file, window.L[file]);
		look('ui', window.L.ui.tabs);
		look('ui', window.L.ui.changes);
		return { offered: found, listed: Object.fromEntries(Object.entries(files).map(([file, names]) => [file, [...names, ...(PROPERTIES[file] ?? '').split(/\s+/)]])) };
	});
	const own = (name) => name.startsWith('$') || ['constructor', '__init__', '__class__', 'toString'].includes(name);
	// What every class of LuCI's has.
	const common = listed.luci;
	const more = offered.filter(([file, name]) => !own(name) && !listed[file].includes(name) && !common.includes(name));
	assert.ok(offered.length > 200, `${offered.length}`);
	assert.deepEqual([...new Set(more.map(([file, name]) => `${file}: ${name}`))], []);
});

test('asking the stand-in for anything else fails the page that does it', async () => {
	const page = await stage.open(await stage.fresh());
	for (const [what, ask] of [
		['a method of L', () => window.L.sortedValues({})],
		['a method of ui', () => window.L.ui.showDialog()],
		['a method of rpc', () => window.L.rpc.invoke()],
		['a method of a section', () => new window.L.form.Map('owsync').section(window.L.form.NamedSection, 'main', 'owsync').panel('x')],
		['a property of an option', () => {
			const section = new window.L.form.Map('owsync').section(window.L.form.NamedSection, 'main', 'owsync');
			section.option(window.L.form.Value, 'port').placehoder = '4321';
		}],
	]) {
		await page.page.evaluate(() => { window.violations.length = 0; });
		await assert.rejects(page.page.evaluate(ask), /LuCI's/, what);
		await assert.rejects(page.sound(), /LuCI's/, what);
	}
	await page.page.evaluate(() => { window.violations.length = 0; });
});
