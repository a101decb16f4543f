'use strict';
// A router: its files, its ubus, its daemon, and what LuCI reaches of it.

const { spawn, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Bus } = require('./bus');
const { Service } = require('./daemon');
const { Rpcd } = require('./rpcd');
const { until } = require('../until');

const REPOSITORY = path.join(__dirname, '../../..');
const APP = process.env.OWSYNC_TEST_APP ?? path.join(REPOSITORY, 'luci-app-owsync');
const PROGRAM = process.env.OWSYNC_TEST_PROGRAM ?? path.resolve(REPOSITORY, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/owsync');
const UBUSD = process.env.OWSYNC_TEST_UBUSD ?? 'ubusd';

const NOT_FOUND = 4;

class Router {
	// A router in a land: as it is after the package was installed, with these packages besides.
	static async make(land, name, packages = {}) {
		const router = new Router(name, await land.space(name));
		fs.copyFileSync(path.join(REPOSITORY, 'files/owsync.config'), router.file('etc/config/owsync'));
		for (const [one, text] of Object.entries(packages))
			router.write(`etc/config/${one}`, text);
		await router.startBus();
		return router;
	}

	constructor(name, space) {
		this.name = name;
		this.space = space;
		this.address = space.address;
		this.service = new Service(space, PROGRAM);
		this.rpcd = new Rpcd(this, path.join(APP, 'root/usr/share/rpcd/acl.d'));
		this.applied = 0;
		this.confirmed = 0;
		this.told = [];
	}

	async startBus() {
		const socket = this.file('var/run/ubus/ubus.sock');
		const [enter, ...words] = this.space.enter();
		this.broker = spawn(enter, [...words, UBUSD, '-s', '/var/run/ubus/ubus.sock'], { stdio: 'ignore' });
		this.broker.once('error', (error) => { this.broken = error; });
		this.bus = await until('ubusd answers', () => {
			if (this.broken)
				throw this.broken;
			return fs.existsSync(socket) && Bus.connect(socket).catch(() => undefined);
		});
		// procd hears that a package changed; to the daemon that is the service reloaded.
		await this.bus.offer('service', { event: (given) => { this.told.push(given); return {}; } });
	}

	async end() {
		this.bus?.close();
		this.broker?.kill();
		if (this.service.child) {
			this.service.child.kill('SIGKILL');
			await this.service.child.ended;
		}
		this.space.land.remove(this.space);
	}

	file(name) {
		return path.join(this.space.root, name);
	}

	read(name) {
		return fs.readFileSync(this.file(name), 'utf8');
	}

	exists(name) {
		return fs.existsSync(this.file(name));
	}

	// In one step, as programs write so that a reader never gets half of it.
	write(name, text, mode = 0o600) {
		fs.mkdirSync(path.dirname(this.file(name)), { recursive: true });
		const fresh = this.file(path.join(path.dirname(name), `.${path.basename(name)}.uci-a1B2c3`));
		fs.writeFileSync(fresh, text, { mode });
		fs.renameSync(fresh, this.file(name));
	}

	remove(name) {
		fs.rmSync(this.file(name), { recursive: true });
	}

	// Runs the program there.
	owsync(...words) {
		return this.space.run(PROGRAM, ...words);
	}

	// What `owsync check` says of the router's package: its exit code and everything it printed.
	check() {
		const [enter, ...words] = this.space.enter();
		try {
			return { code: 0, said: execFileSync(enter, [...words, 'sh', '-c', `"${PROGRAM}" check 2>&1`], { encoding: 'utf8' }) };
		}
		catch (error) {
			return { code: error.status, said: error.stdout };
		}
	}

	// What it warns of.
	warnings() {
		return [...this.check().said.matchAll(/^owsync: warning: (.*)$/gm)].map(([, text]) => text);
	}

	// Calls a method of its daemon.
	async call(method, given) {
		return this.bus.call('owsync', method, given);
	}

	async ask(method, given) {
		const [status, data] = await this.call(method, given);
		if (status != 0)
			throw new Error(`${method} on ${this.name}: ${status} ${JSON.stringify(data)}`);
		return data;
	}

	async status() {
		const [status, data] = await this.call('status');
		return status == 0 ? data : undefined;
	}

	async untilStatus(what, holds) {
		let last;
		try {
			return await until(`${this.name}: ${what}`, async () => {
				last = await this.status();
				return last && holds(last) && last;
			});
		}
		catch (error) {
			error.message += `\nlast: ${JSON.stringify(last, null, 1)}\n${this.service.log}`;
			throw error;
		}
	}

	untilInSync() {
		return this.untilStatus('in sync', (status) => status.in_sync);
	}

	// Packages were changed by LuCI: services with a trigger on them are reloaded.
	async changed(names) {
		if (names.includes('owsync'))
			await this.service.reload();
	}

	listed(name) {
		if (!this.exists(name))
			return [NOT_FOUND];
		const entries = fs.readdirSync(this.file(name)).sort().map((one) => ({ name: one, ...this.facts(path.join(name, one)) }));
		return [0, { entries }];
	}

	readable(name) {
		return this.exists(name) ? [0, { data: this.read(name) }] : [NOT_FOUND];
	}

	described(name) {
		return this.exists(name) ? [0, { path: name, ...this.facts(name) }] : [NOT_FOUND];
	}

	facts(name) {
		const { size, mode, mtimeMs } = fs.statSync(this.file(name));
		const type = fs.statSync(this.file(name)).isDirectory() ? 'directory' : 'file';
		return { type, size, mode, mtime: Math.floor(mtimeMs / 1000) };
	}
}

module.exports = { Router, APP, REPOSITORY, PROGRAM };
