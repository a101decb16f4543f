'use strict';
// What the tests of a file have in common: a browser, a network, and routers that end with their test.

const { after, afterEach, before } = require('node:test');
const { Browser } = require('./browser');
const { Land } = require('./router/land');
const { Router } = require('./router/router');
const { Server } = require('./server');
const stories = require('./stories');

const OVERVIEW = 'admin/services/owsync';
const PHONE = { width: 375, height: 700 };

class Stage {
	constructor() {
		this.routers = [];
		this.servers = new Map();
		this.pages = [];
		before(async () => {
			[this.land, this.browser] = await Promise.all([Land.make(), Browser.start()]);
		});
		afterEach(() => this.clear());
		after(async () => {
			await this.browser?.end();
			this.land?.end();
		});
	}

	// Ends what a test used. A page in which something went wrong fails it.
	async clear() {
		const pages = this.pages.splice(0);
		const sound = await Promise.allSettled(pages.map((page) => page.sound()));
		await Promise.all(pages.map((page) => page.page.close()));
		for (const server of this.servers.values())
			server.end();
		this.servers.clear();
		for (const router of this.routers.splice(0))
			await router.end();
		for (const { reason } of sound)
			if (reason)
				throw reason;
	}

	// A router as after the installation.
	async fresh(name = 'router1', packages = stories.packages()) {
		return this.kept(await Router.make(this.land, name, packages));
	}

	// A router whose daemon runs.
	async running(name, more) {
		return this.kept(await stories.running(this.land, name, more));
	}

	// Two that are in sync.
	async pair(more) {
		const made = await stories.pair(this.land, more);
		made.forEach((router) => this.kept(router));
		return made;
	}

	kept(router) {
		this.routers.push(router);
		return router;
	}

	// A page of a router, as a user sees it who may read and write, or only read.
	async open(router, page = OVERVIEW, { parts = ['read', 'write'], dark = false, phone = false, marks = false, transform } = {}) {
		if (!this.servers.has(router))
			this.servers.set(router, await Server.start(router, transform));
		const made = await this.browser.page();
		this.pages.push(made);
		await made.page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
		if (phone)
			await made.page.setViewportSize(PHONE);
		// Polls twenty times as fast as LuCI does.
		await made.open(this.servers.get(router).url(page, router.rpcd.login(parts), `&pollspeed=0.05${marks ? '&marks' : ''}`));
		return made;
	}
}

module.exports = { Stage };
