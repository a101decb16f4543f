'use strict';
// Routers as the tests find them: what is on them, and how they came together.

const { Router } = require('./router/router');

// What a router has in /etc/config, as far as these tests care.
function packages(more = {}) {
	return {
		dhcp: 'config dnsmasq\n\toption domainneeded \'1\'\n\toption domain \'lan\'\n\nconfig dhcp \'lan\'\n\toption interface \'lan\'\n\toption start \'100\'\n',
		sqm: 'config queue \'wan\'\n\toption interface \'wan\'\n\toption download \'50000\'\n',
		firewall: 'config defaults\n\toption input \'REJECT\'\n\toption output \'ACCEPT\'\n\nconfig zone\n\toption name \'lan\'\n\tlist network \'lan\'\n',
		network: 'config interface \'lan\'\n\toption device \'br-lan\'\n\toption proto \'static\'\n',
		system: 'config system\n\toption hostname \'router\'\n\toption zonename \'UTC\'\n',
		wireless: 'config wifi-device \'radio0\'\n\toption type \'mac80211\'\n',
		dropbear: 'config dropbear\n\toption Port \'22\'\n',
		...more,
	};
}

// A router with its daemon running, whose main section has these options besides.
async function running(land, name, { options = '', sections = '', files = packages() } = {}) {
	const router = await Router.make(land, name, files);
	router.write('etc/config/owsync', `config owsync 'main'\n\toption enabled '1'\n\toption dir '/etc/config'\n${options}${sections}`);
	router.service.start();
	await router.untilStatus('its object is there', () => true);
	return router;
}

// Two routers in sync, of which the first is the reference. (A batch with the package firewall would be unconfirmed for a while.)
async function pair(land, { names = ['router1', 'router2'], options = '\tlist include \'dhcp\'\n\tlist include \'sqm\'\n', sections = '', files } = {}) {
	const first = await running(land, names[0], { options, sections, files });
	const second = await running(land, names[1], { sections, files: { network: packages().network, system: packages().system } });
	const { join_text: text } = await first.ask('init', {});
	await second.ask('join', { text });
	await Promise.all([first, second].map((router) => router.untilInSync()));
	return [first, second];
}

module.exports = { packages, pair, running };
