'use strict';
'require baseclass';
'require owsync.options as options';
'require owsync.values as values';
/* global options, values */

/*
 * The options of this router itself: the tabs General and Advanced.
 */
return baseclass.extend({
	general: function(section) {
		options.flag(section, 'enabled', _('Enabled'),
			_('Whether owsync runs: now, and after every start of this router.'),
			{ tab: 'general', standard: '0' }).rmempty = false;

		options.text(section, 'name', _('Name'), _('The name of this router. Usually its host name.'),
			{ tab: 'general', check: values.name, standard: _('the host name') });

		options.choice(section, 'first_sync', _('At the first contact'),
			_('What happens to files that differ when two routers connect for the first time and neither is the reference. What needs a decision is listed on the overview, and everything else is synced meanwhile.'),
			{ tab: 'general', standard: 'ask', choices: [
				[ 'ask', _('Ask me') ],
				[ 'newest', _('The newer file wins') ]
			] });

		options.choice(section, 'accept', _('Who may connect'),
			_('Every router that connects needs the key. An unknown router is listed on the overview and waits to be accepted.'),
			{ tab: 'general', standard: 'known', choices: [
				[ 'known', _('Known routers') ],
				[ 'key', _('Every router with the key') ]
			] });

		options.flag(section, 'firewall_rule', _('Open the firewall'),
			_('Accepts connections of other routers. Not needed where they are in a zone that may reach this router anyway, as lan may.'),
			{ tab: 'general', standard: '0' });

		options.list(section, 'firewall_zone', _('In these zones'),
			_('Firewall zones in which the port is open, if the firewall is opened. “*” means every zone, the Internet too. Empty: lan.'),
			{ tab: 'general', check: values.zone, placeholder: 'lan' });

		options.flag(section, 'mdns', _('Announce'),
			_('Announces owsync on the network by multicast DNS, if umdns is installed.'),
			{ tab: 'general', standard: '0' });
	},

	history: function(section) {
		options.text(section, 'history_size', _('Size of the history'),
			_('Bytes of previous versions that are kept, such as 1M. What must be kept for a day is kept in any case.'),
			{ tab: 'general', check: values.size, standard: '1M' });

		options.text(section, 'history_days', _('Days of history'), _('0 means unlimited.'),
			{ tab: 'general', check: values.number(0, 4294967295), standard: '30' });

		options.text(section, 'history_versions', _('Versions of one file'), null,
			{ tab: 'general', check: values.number(1, 4294967295), standard: '10' });
	},

	network: function(section) {
		options.text(section, 'bind_host', _('Listen on'),
			_('The address on which others may connect. “::” means every address, IPv6 and IPv4.'),
			{ tab: 'advanced', check: values.listener, standard: '::' });

		options.list(section, 'network', _('Networks'),
			_('Listen on the addresses of these networks, and of no others. Empty: the address above.'),
			{ tab: 'advanced', check: values.network, placeholder: 'lan' });

		options.text(section, 'port', _('Port'), _('To listen on, and to connect to where a peer has no other.'),
			{ tab: 'advanced', check: values.port(0), standard: '4321' });

		options.flag(section, 'plain_mode', _('Without encryption'),
			_('Neither encrypted nor authenticated. Only for links that are private already, such as WireGuard, and only if every router has it switched on and no key.'),
			{ tab: 'advanced', standard: '0' });

		options.text(section, 'max_clock_skew', _('Difference of clocks'),
			_('Routers whose clocks differ by more do not sync. In seconds, or such as 5m; 0 means no check.'),
			{ tab: 'advanced', check: values.duration(0, 1e15, true), standard: '60' });
	},

	files: function(section) {
		options.text(section, 'key_file', _('Key file'),
			_('Where the key is stored that all your routers share. Only its path is set here: the key itself is never shown.'),
			{ tab: 'advanced', check: values.path, standard: '/etc/owsync/key' });

		options.text(section, 'previous_key_file', _('File with a second key'),
			_('Also accepted, to change the key without interruption: add the new one everywhere, swap them, remove the old one.'),
			{ tab: 'advanced', check: values.path });

		options.text(section, 'database', _('Database'),
			_('What owsync remembers; identity and history are stored beside it. A change of this needs a restart of owsync.'),
			{ tab: 'advanced', check: values.path, standard: '/etc/owsync/owsync.db' });

		options.text(section, 'metrics_file', _('Metrics file'),
			_('Numbers for Prometheus are written there, for a collector that reads files. Empty: none.'),
			{ tab: 'advanced', check: values.path });
	},

	behaviour: function(section) {
		options.text(section, 'release', _('Release'),
			_('What counts as the release of this system. Routers of different releases do not exchange packages until they are upgraded. Empty: OpenWrt’s own.'),
			{ tab: 'advanced', check: values.release });

		options.text(section, 'poll_interval', _('Scan everything'),
			_('How often files are scanned although no change was reported. In seconds, or such as 5m.'),
			{ tab: 'advanced', check: values.duration(1, 30 * 86400, false), standard: '60' });

		options.text(section, 'max_sessions', _('Sessions'),
			_('How many other nodes may be connected at a time. Further ones are refused.'),
			{ tab: 'advanced', check: values.number(1, 2048), standard: '256' });

		const quiet = options.text(section, 'settle_ms', _('Settle time'),
			_('Milliseconds without a further change before one is sent.'),
			{ tab: 'advanced', check: values.number(0, 60000), standard: '200' });

		/* The daemon refuses a longer one, and the whole package with it. */
		quiet.validate = function(section, value) {
			const most = this.section.formvalue(section, 'settle_max') || '2';

			if (!value)
				return true;

			const found = values.number(0, 60000)(value);

			return found === true && Number(value) > values.seconds(most) * 1000
				? _('This is longer than the longest settle time.') : found;
		};

		const most = options.text(section, 'settle_max', _('Longest settle time'),
			_('After this time a change is sent although others follow. In seconds, or such as 5m.'),
			{ tab: 'advanced', check: values.duration(1, 600, false), standard: '2' });

		most.onchange = function(ev, id) {
			this.section.getOption('settle_ms').triggerValidation(id);
		};

		options.text(section, 'hook', _('Program for events'),
			_('An absolute path. The program is notified of applied changes, conflicts, decisions to be made, changes that were rolled back, and of routers that connect and disconnect. It must not be in a synced directory.'),
			{ tab: 'advanced', check: values.path });

		options.text(section, 'hook_timeout', _('Time for that program'), _('In seconds, or such as 5m.'),
			{ tab: 'advanced', check: values.duration(1, 3600, false), standard: '30' });

		options.choice(section, 'log_level', _('Log level'), null,
			{ tab: 'advanced', standard: '2', choices: [
				[ '0', _('Errors') ],
				[ '1', _('Errors and warnings') ],
				[ '2', _('What matters') ],
				[ '3', _('Every decision') ]
			] });
	},

	/* All of them, in the order in which they are shown. */
	fill: function(section) {
		this.general(section);
		this.history(section);
		this.network(section);
		this.files(section);
		this.behaviour(section);
	}
});
