'use strict';
// Every state of every page on a phone, in the dark, by keyboard, and for those who do not see it.

const assert = require('node:assert/strict');
const test = require('node:test');
const { Stage } = require('../stage');
const { until } = require('../until');

const stage = new Stage();
const [SETTINGS, HISTORY, STATUS] = ['admin/services/owsync/settings', 'admin/services/owsync/history', 'admin/status/overview'];

// Two routers with something to show everywhere: a previous version, a peer section, a further share, a waiting router.
async function pair() {
	const [router1, router2] = await stage.pair();
	router1.write('etc/config/owsync', `${router1.read('etc/config/owsync')}
config peer 'branch'\n\toption address '192.168.1.77'\n
config share 'vpn'\n\toption dir '/etc/openvpn'\n\tlist include '*.conf'\n`);
	router2.write('etc/config/dhcp', 'config dnsmasq\n\toption domain \'a-domain-that-is-so-long-that-it-has-no-room-anywhere.example.org\'\n');
	await router1.untilStatus('it was applied, and both are known', ({ counters, peers, shares }) => counters.applied > 0 && peers.branch && shares.vpn);
	return router1;
}

const tab = (name) => (page) => page.page.locator(`.cbi-tabmenu > li[data-tab="${name}"] > a`).first().click();

function row(where, id, title) {
	return async (page) => {
		await tab(where)(page);
		await page.page.locator(`tr[data-sid="${id}"]`).getByRole('button', { name: /Edit/ }).click();
		await page.says(title, '.modal h4');
	};
}

// Buttons are found also where what is translated has marks around it.
const dialog = (button, text) => async (page) => {
	await page.press(typeof button == 'string' ? new RegExp(`^\\W?${button}\\W?$`) : button, '#view');
	await page.says(text, '.modal');
};

// A state: its page, and how it is got into.
const STATES = [
	['overview', undefined, async (page) => page.page.locator('summary:visible').first().click()],
	['pause', undefined, dialog('Pause', 'How long')],
	['preview', undefined, dialog('Preview Sync now', 'Preview of Sync now')],
	['sync', undefined, dialog('Sync now', /Done/)],
	['invite', undefined, dialog('Invite a router', 'takes over what is synced here')],
	['settings-general', SETTINGS],
	['settings-peers', SETTINGS, tab('peers')],
	['settings-shares', SETTINGS, tab('shares')],
	['settings-advanced', SETTINGS, tab('advanced')],
	['settings-peer-dialog', SETTINGS, row('peers', 'branch', /Peer branch/)],
	['settings-share-dialog', SETTINGS, row('shares', 'vpn', /Share vpn/)],
	['history', HISTORY],
	['compare', HISTORY, dialog(/^\W*Compare/, 'option domain')],
	['undo', HISTORY, dialog(/^\W*Undo all of it/, 'were changed together')],
	['card', STATUS],
];

// Calls `act` with every state; those of the guided start need a router of their own.
async function everywhere(options, act) {
	const [router, empty] = [await pair(), await stage.fresh('empty')];
	const guided = [['first-run', undefined], ['first-run-join', undefined, (page) => page.page.getByRole('radio', { name: /Join another router/ }).check()]];
	for (const [states, on] of [[STATES, router], [guided, empty]])
		for (const [name, place, enter] of states) {
			const page = await stage.open(on, place, options);
			await enter?.(page);
			await act(name, page);
			await page.close();
			stage.pages.pop();
		}
}

test('nothing is wider than a phone', async () => {
	const wide = [];
	await everywhere({ phone: true }, async (name, page) => {
		await page.shot(`phone-${name}`);
		wide.push(...await page.page.evaluate((state) => {
			const room = window.innerWidth;
			const open = document.body.classList.contains('modal-overlay-active');
			return [...document.querySelectorAll(open ? '.modal, .modal *' : '#maincontent *')].filter((node) => {
				const box = node.getBoundingClientRect();
				if (!box.width || box.right <= room + 1)
					return false;
				// An element that scrolls may contain more than is visible.
				return !node.parentElement.closest('.owsync-scroll, pre, [style*="overflow"]');
			}).slice(0, 3).map((node) => `${state}: ${node.tagName}.${node.className} ends at ${Math.round(node.getBoundingClientRect().right)} of ${room}`);
		}, name));
	});
	assert.deepEqual(wide, []);
});

// Fields and dialogs that LuCI makes without a name, wherever they are used.
const OF_LUCI = ['cbi-section-create-name', 'cbi-dropdown', 'cbi-modal'];

// What can be acted on and has no name, as the browser computes it for assistive programs.
async function nameless(page) {
	// What stands in an empty field goes as soon as something is typed: it is no name.
	await page.page.evaluate(() => document.querySelectorAll('[placeholder]').forEach((node) => node.removeAttribute('placeholder')));
	const session = await page.page.context().newCDPSession(page.page);
	await session.send('DOM.enable');
	const { nodes } = await session.send('Accessibility.getFullAXTree');
	const roles = ['button', 'link', 'textbox', 'checkbox', 'radio', 'combobox', 'listbox', 'DisclosureTriangle', 'searchbox', 'spinbutton', 'dialog', 'radiogroup'];
	const found = [];
	for (const node of nodes.filter(({ ignored, role, name }) => !ignored && roles.includes(role?.value) && !name?.value?.trim())) {
		const { node: { nodeName, attributes = [] } } = await session.send('DOM.describeNode', { backendNodeId: node.backendDOMNodeId });
		const given = Object.fromEntries(attributes.flatMap((one, at) => at % 2 ? [] : [[one, attributes[at + 1]]]));
		const inCell = given.id?.startsWith('widget.') && await page.page.evaluate((id) => Boolean(document.getElementById(id)?.closest('td[data-title]')), given.id);
		if (!inCell && !OF_LUCI.some((one) => given.class?.split(' ').includes(one)))
			found.push(`${node.role.value} ${nodeName} ${JSON.stringify(given)}`);
	}
	await session.detach();
	return found;
}

// Controls that pressing Tab does not come to, in the dialog that is open or on the page.
async function unreached(page) {
	const count = await page.page.evaluate(() => {
		const where = document.body.classList.contains('modal-overlay-active') ? '.modal' : '#maincontent';
		window.wanted = [...document.querySelectorAll(`${where} :is(button, a[href], input, select, textarea, summary)`)]
			.filter((node) => node.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && !node.disabled && node.type != 'hidden')
			// Of a group of radio buttons the chosen one is reached, and from there the others by arrows.
			.filter((node) => node.type != 'radio' || node.checked);
		window.reached = new Set([document.activeElement]);
		document.addEventListener('focusin', ({ target }) => window.reached.add(target));
		// Every place where Tab may stop, those of LuCI's own menu too, and of tabs that are closed.
		return document.querySelectorAll('button, a[href], input, select, textarea, summary, [tabindex]').length;
	});
	for (let n = 0; n < count + 2; n++)
		await page.page.keyboard.press('Tab');
	return page.page.evaluate(() => window.wanted.filter((node) => node.isConnected && !window.reached.has(node)).map((node) => node.outerHTML.slice(0, 160)));
}

// What `find` still finds when it looks again: a page that polls may replace a control while it is checked.
async function lasting(find, page, attempts = 4) {
	let found;
	for (let n = 0; n < attempts; n++) {
		found = await find(page).catch((error) => [`it could not be looked at: ${error.message}`]);
		if (!found.length)
			break;
	}
	return found;
}

test('every control has a name, and the keyboard reaches it', async () => {
	const [without, missed] = [[], []];
	await everywhere({ dark: true }, async (name, page) => {
		await page.shot(`dark-${name}`);
		without.push(...(await lasting(nameless, page)).map((one) => `${name}: ${one}`));
		missed.push(...(await lasting(unreached, page)).map((one) => `${name}: ${one}`));
	});
	assert.deepEqual({ without, missed }, { without: [], missed: [] });
});

test('Escape closes a dialog, and the keyboard is where it was', async () => {
	const router = await pair();
	const page = await stage.open(router);
	const button = page.button('Pause', '#view');
	await button.focus();
	await page.page.keyboard.press('Enter');
	await page.says('How long', '.modal');
	// It begins in the dialog.
	assert.ok(await page.page.evaluate(() => document.querySelector('.modal').contains(document.activeElement)));

	await page.page.keyboard.press('Escape');

	await page.page.locator('body:not(.modal-overlay-active)').waitFor();
	await until('the focus is back', () => button.evaluate((node) => document.activeElement === node));
});

// Marks around everything that went through _(): what has none cannot be translated.
test('every text of the pages can be translated', async () => {
	const plain = new Set();
	await everywhere({ marks: true }, async (name, page) => {
		for (const text of await page.page.evaluate(() => {
			const found = [];
			const walk = document.createTreeWalker(document.querySelector(document.body.classList.contains('modal-overlay-active') ? '.modal' : '#view'), NodeFilter.SHOW_TEXT);
			while (walk.nextNode()) {
				const text = walk.currentNode.textContent.replace(/\u2039[^]*\u203a/g, '').trim();
				const host = walk.currentNode.parentElement;
				if (/\p{L}{3}/u.test(text) && host.checkVisibility() && !host.closest('code, pre, .owsync-path, .owsync-diff, textarea, .cbi-dynlist, td.cbi-section-table-cell'))
					found.push(text);
			}
			return found;
		}))
			plain.add(`${name}: ${text}`);
	});
	// What the daemon and the settings say: names, addresses, identities, messages, and why something would happen.
	const said = /: (router\d|empty|main|vpn|branch|dhcp|sqm|dropbear|firewall|network|owsync$|system|wireless|\w{3} \d+, \d{4}|\/etc\/|192\.168|[0-9a-f]{4}( [0-9a-f]{4}){3}|[0-9a-f]{8}$|.*(connected|held|synced).*|unreachable: .*|\*\.conf)/;
	assert.deepEqual([...plain].filter((one) => !said.test(one)), []);
});
