'use strict';
'require baseclass';
'require rpc';
'require owsync.live as live';
/* global live */

/*
 * The UCI packages of this router, and which of them are sensible to keep equal on several.
 */

const callConfigs = rpc.declare({ object: 'uci', method: 'configs', expect: { configs: [] } });

/* What another router does the same way. */
const SHARED = {
	adblock: _('Blocked domains'),
	banip: _('Blocked addresses'),
	ddns: _('Dynamic DNS'),
	dhcp: _('DHCP and DNS: leases, host names, ranges'),
	firewall: _('Firewall: zones, rules, port forwards'),
	'https-dns-proxy': _('DNS over HTTPS'),
	mwan3: _('Several Internet connections'),
	nlbwmon: _('Bandwidth monitor'),
	openvpn: _('OpenVPN'),
	pbr: _('Policy routing'),
	qos: _('Quality of service'),
	simpleadblock: _('Blocked domains'),
	snmpd: _('SNMP'),
	sqm: _('Queue management'),
	unbound: _('DNS resolver'),
	upnpd: _('UPnP'),
	wol: _('Wake on LAN')
};

/* What belongs to one router only, and why. */
const OWN = {
	dropbear: _('SSH access to this router: a mistake here locks you out of all of them.'),
	fstab: _('Mounts are those of this router’s storage.'),
	keepalived: _('Priority and state differ between routers behind one address.'),
	luci: _('The web interface of this router.'),
	network: _('Addresses differ on every router: two with the same one disturb each other.'),
	owsync: _('The settings of owsync itself are never synced.'),
	rpcd: _('The accounts of this web interface.'),
	system: _('Host name, time zone and LEDs are those of this router.'),
	ubootenv: _('The flash layout of this router.'),
	uhttpd: _('The web server and its certificate are those of this router.'),
	wireless: _('Radios and channels are those of this router’s hardware.')
};

/* The packages of this router, each with a box. */
function chooser(list) {
	const boxes = [];
	const part = function(title, isIn) {
		const found = list.filter(isIn);

		return found.length === 0 ? null : live.node('fieldset', { 'class': 'owsync-fieldset' },
			live.node('legend', {}, title),
			live.node('div', { 'class': 'owsync-packages' }, found.map(function(one) {
				const box = live.node('input', { 'type': 'checkbox', 'value': one.name });

				box.checked = one.isSuggested;
				box.disabled = one.isNever;
				boxes.push(box);

				return live.node('label', {}, box, live.node('span', {}, live.node('strong', {}, one.name),
					live.node('small', {}, one.warning || one.title)));
			})));
	};

	return {
		node: live.node('div', {},
			part(_('Suggested'), function(one) {
				return one.isSuggested;
			}),
			part(_('Others on this router'), function(one) {
				return !one.isSuggested && !one.warning;
			}),
			part(_('These belong to one router'), function(one) {
				return one.warning;
			})),
		value: function() {
			return boxes.filter(function(box) {
				return box.checked;
			}).map(function(box) {
				return box.value;
			});
		}
	};
}

return baseclass.extend({
	chooser: chooser,

	/* Why a package should stay on one router; null, if it need not. */
	warning: function(name) {
		return OWN[name] || null;
	},

	/* Every package there is: its name, what it is, whether it is suggested, and why not if it is not. */
	load: function() {
		return callConfigs().then(function(names) {
			return names.filter(function(name) {
				/* Left behind by a package manager, and never synced. */
				return name.slice(-8) !== '.apk-new' && name.slice(-5) !== '-opkg';
			}).sort().map(function(name) {
				return {
					name: name,
					title: SHARED[name] || '',
					isSuggested: SHARED[name] !== undefined,
					isNever: name === 'owsync',
					warning: OWN[name] || null
				};
			});
		});
	}
});
