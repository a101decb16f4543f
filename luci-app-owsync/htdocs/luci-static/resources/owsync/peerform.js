'use strict';
'require baseclass';
'require form';
'require uci';
'require owsync.live as live';
'require owsync.options as options';
'require owsync.values as values';
'require owsync.words as words';
/* global live, options, values, words */

/*
 * Peers: their grid, and the short form of those that need no more than an address.
 */
return baseclass.extend({
	/* Fills the tab; `status` is the daemon's, if it answers. */
	fill: function(section, status) {
		options.list(section, 'peer', _('Addresses'),
			_('The short form: other routers that need nothing but an address. A name or IP address, with “:port” behind it if it is not the usual one.'),
			{ tab: 'peers', check: values.address, placeholder: '192.168.1.2' });

		const grid = section.taboption('peers', form.SectionValue, '_peers', form.GridSection, 'peer', _('Peers'),
			_('Other routers, each with its options. A router that joins with a join text needs no entry on the reference.')).subsection;

		grid.anonymous = false;
		grid.addremove = true;
		grid.nodescriptions = true;
		grid.modaltitle = function(name) {
			return _('Peer %s').format(name);
		};
		this.state(grid, status);
		this.options(grid);
	},

	/* How the peer is doing, where the daemon answers. */
	state: function(grid, status) {
		const option = grid.option(form.DummyValue, '_state', _('State'));

		option.modalonly = false;
		option.textvalue = function(section) {
			const peer = ((status || {}).peers || {})[section];
			const state = peer ? words.state(peer.state) : [ '–', '' ];

			return live.node('span', { 'class': state[1] }, state[0]);
		};
	},

	options: function(grid) {
		options.flag(grid, 'enabled', _('Enabled'), _('Whether this peer is used at all.'), { standard: '1' });

		const address = options.text(grid, 'address', _('Address'),
			_('A name or IP address, perhaps with “:port”. Without one this router waits for the peer to connect, and knows it by its identity.'),
			{ check: values.address });

		address.validate = function(section, value) {
			const key = this.section.formvalue(section, 'public_key');

			if (!value)
				return key ? true : _('An address or an identity is needed.');

			return values.address(value);
		};

		options.text(grid, 'port', _('Port'), _('Where it is not in the address.'),
			{ check: values.port(1), standard: '4321', isModal: true });

		options.text(grid, 'source_address', _('Connect from'),
			_('The address of this router to connect from. Empty: the system chooses.'),
			{ check: values.ip, isModal: true });

		const identity = options.text(grid, 'public_key', _('Identity'),
			_('Pins the peer: a peer that shows a different identity is refused. 64 hexadecimal digits; empty: the identity of the first connection is remembered.'),
			{ check: values.publicKey, isModal: true });

		/* The daemon refuses an introducer without an identity, and the whole package with it. */
		identity.validate = function(section, value) {
			if (!value)
				return this.section.formvalue(section, 'introducer') !== '1'
					|| _('A router that introduces others needs an identity here.');

			return values.publicKey(value);
		};

		const introducer = options.flag(grid, 'introducer', _('Introducer'),
			_('Whether routers that this peer introduces are accepted automatically. A router that joins sets this for its reference.'),
			{ standard: '0', isModal: true });

		/* In a dialog the options are copies, so they are asked for by name. */
		introducer.onchange = function(ev, section) {
			this.section.getOption('public_key').triggerValidation(section);
		};

		const shares = options.list(grid, 'share', _('Shares'), _('In which of the shares it takes part. None listed: all.'),
			{ check: values.shareName, placeholder: 'main' });

		shares.textvalue = function(section) {
			return live.node('span', {}, L.toArray(uci.get('owsync', section, 'share')).join(', ') || _('all'));
		};

		options.choice(grid, 'direction', _('Direction'), null, { standard: 'both', choices: this.directions() });
	},

	directions: function() {
		return [
			[ 'both', _('Send and receive') ],
			[ 'send', _('Only send') ],
			[ 'receive', _('Only receive') ],
			[ 'observe', _('Only compare') ]
		];
	}
});
