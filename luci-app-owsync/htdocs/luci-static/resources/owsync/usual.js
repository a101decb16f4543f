'use strict';
'require baseclass';
'require owsync.live as live';
/* global live */

/*
 * Values that every router has for itself, and that are offered as such when a cluster is set up.
 *
 * The patterns are those that `owsync init` suggests (USUAL in src/uci/local.rs).
 */
const USUAL = [
	{ pattern: 'system.@system[0].hostname', title: _('Host name') },
	{ pattern: 'network.*.ipaddr', title: _('IPv4 addresses of all interfaces') },
	{ pattern: 'network.*.ip6addr', title: _('IPv6 addresses of all interfaces') },
	{ pattern: 'network.*.macaddr', title: _('MAC addresses') },
	{ pattern: 'network.globals.ula_prefix', title: _('IPv6 ULA prefix') },
	{ pattern: 'keepalived.@vrrp_instance.priority', title: _('VRRP priority') },
	{ pattern: 'keepalived.@vrrp_instance.state', title: _('VRRP state at the start') },
	{ pattern: 'wireless.@wifi-device.path', title: _('Hardware paths of the radios') }
];

function packageOf(pattern) {
	return pattern.split('.')[0];
}

return baseclass.extend({
	patterns: function() {
		return USUAL.map(function(one) {
			return one.pattern;
		});
	},

	/* A box for each of them, shown while its package is chosen. `chosen` gives the chosen packages. */
	chooser: function(chosen) {
		const boxes = USUAL.map(function(one) {
			const box = live.node('input', { 'type': 'checkbox', 'value': one.pattern });

			box.checked = true;

			return { pattern: one.pattern, box: box, node: live.node('label', {}, box, live.node('span', {},
				live.node('strong', {}, one.title), live.node('small', { 'class': 'owsync-path' }, one.pattern))) };
		});
		const node = live.node('fieldset', { 'class': 'owsync-fieldset' },
			live.node('legend', {}, _('Only on this router')),
			live.node('p', {}, _('These values stay different on every router, while everything else of their packages is synced. More can be chosen later, on the overview.')),
			live.node('div', { 'class': 'owsync-packages' }, boxes.map(function(one) {
				return one.node;
			})));

		function isOffered(one) {
			return chosen().indexOf(packageOf(one.pattern)) >= 0;
		}

		function update() {
			boxes.forEach(function(one) {
				live.shown(one.node, isOffered(one));
			});
			live.shown(node, boxes.some(isOffered));
		}

		update();

		return {
			node: node,
			update: update,
			value: function() {
				return boxes.filter(function(one) {
					return one.box.checked && isOffered(one);
				}).map(function(one) {
					return one.pattern;
				});
			}
		};
	}
});
