'use strict';
// A headless Chromium, and pages in it that fail the test when anything goes wrong in them.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');
const { until, PATIENCE } = require('./until');

const SHOTS = path.join(__dirname, 'shots');

const PROGRAM = process.env.OWSYNC_TEST_CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync'];

class Browser {
	static async start() {
		const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'owsync-chromium-'));
		const context = await chromium.launchPersistentContext(profile, { executablePath: PROGRAM, args: FLAGS, viewport: { width: 1100, height: 800 } });
		return new Browser(context, profile);
	}

	constructor(context, profile) {
		this.context = context;
		this.profile = profile;
	}

	async end() {
		await this.context.close();
		fs.rmSync(this.profile, { recursive: true, force: true });
	}

	// An empty page.
	async page() {
		const page = await this.context.newPage();
		page.setDefaultTimeout(PATIENCE);
		return new Page(page);
	}
}

class Page {
	constructor(page) {
		this.page = page;
		this.faults = [];
		page.on('pageerror', (error) => this.faults.push(`not caught: ${error.stack ?? error}`));
		page.on('console', (message) => {
			// A refused or missing request is a message of the browser's own.
			if (message.type() == 'error' && !/Failed to load resource/.test(message.text()))
				this.faults.push(`console: ${message.text()}`);
		});
		page.on('dialog', (dialog) => {
			this.faults.push(`a ${dialog.type()} of the browser's own: ${dialog.message()}`);
			dialog.dismiss().catch(() => {});
		});
	}

	// Opens an address, and waits until its view is shown.
	async open(url) {
		await this.page.goto(url);
		await this.viewed();
	}

	async viewed() {
		await this.page.waitForFunction(() => document.body.dataset.viewed == 'yes' || window.faults?.length);
		await this.sound();
	}

	// Nothing went wrong so far.
	async sound() {
		const { faults, violations } = await this.page.evaluate(() => ({ faults: window.faults ?? [], violations: window.violations ?? [] }));
		const all = [...violations, ...faults, ...this.faults];
		if (all.length)
			throw new Error(`the page fails:\n${all.slice(0, 3).join('\n')}`);
	}

	// Waits for a text anywhere on the page.
	async says(text, where = 'body') {
		await until(`the page says ${text}`, async () => {
			const shown = await this.text(where);
			return text instanceof RegExp ? text.test(shown) : shown.includes(text);
		}).catch(async (error) => {
			throw new Error(`${error.message}; it says:\n${await this.text('body')}\n${await this.wrong()}`);
		});
	}

	async wrong() {
		return (await this.page.evaluate(() => [...window.violations ?? [], ...window.faults ?? []])).concat(this.faults).join('\n');
	}

	text(where = 'body') {
		return this.page.evaluate((selector) => [...document.querySelectorAll(selector)].map((node) => node.innerText).join('\n'), where);
	}

	button(name, where = 'body') {
		return this.page.locator(where).getByRole('button', { name, exact: typeof name == 'string' }).first();
	}

	async press(name, where) {
		await this.button(name, where).click();
	}

	// Writes what the page looks like.
	async shot(name) {
		fs.mkdirSync(SHOTS, { recursive: true });
		await this.page.evaluate(() => window.scrollTo(0, 0));
		// A dialog covers what can be seen of the page, and not more.
		const fullPage = !await this.page.evaluate(() => document.body.classList.contains('modal-overlay-active'));
		await this.page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage, animations: 'disabled' });
	}

	async close() {
		await this.sound();
		await this.page.close();
	}
}

module.exports = { Browser, SHOTS };
