'use strict';
'require view';
'require form';
'require uci';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.nodeform as nodeform';
'require owsync.peerform as peerform';
'require owsync.service as service';
'require owsync.shareform as shareform';
/* global daemon, dialog, live, nodeform, peerform, service, shareform */

/*
 * Every option of the package, and with `enabled` the init script.
 */
return view.extend({
	load: function() {
		if (L.hasViewPermission() !== true) {
			this.handleSave = null;
			this.handleSaveApply = null;
			this.handleReset = null;

			return null;
		}

		return Promise.all([ uci.load('owsync'), daemon.call('status').catch(function() {
			/* Settings can be changed also while no daemon responds. */
			return null;
		}) ]);
	},

	render: function(found) {
		if (!found)
			return live.node('p', {}, _('This account may see the state of owsync, and neither see nor change its settings.'));

		const name = service.section() || uci.add('owsync', 'owsync', 'main');
		const map = new form.Map('owsync', _('owsync: settings'),
			_('Applied settings are in force at once, without a restart.'));
		const section = map.section(form.NamedSection, name, 'owsync');

		section.addremove = false;
		section.tab('general', _('General'));
		section.tab('peers', _('Peers'));
		section.tab('shares', _('Shares'));
		section.tab('advanced', _('Advanced'));
		nodeform.fill(section);
		peerform.fill(section, found[1]);
		shareform.fill(section, found[1]);
		this.follow(name);

		/* LuCI remembers open tabs by the sections around them, and a dialog about this section has tabs, too. */
		return map.render().then(function(node) {
			return live.node('div', { 'data-section-id': 'settings' }, live.style(), node);
		});
	},

	/* As soon as a change of `enabled` is applied, the service does what it says. */
	follow: function(name) {
		let before = this.isEnabled(name);
		const self = this;

		document.addEventListener('uci-applied', function() {
			const now = self.isEnabled(name);

			if (now === before)
				return;

			before = now;
			service.follow(now).catch(function(error) {
				dialog.fail(error);
			});
		});
	},

	isEnabled: function(name) {
		return [ '1', 'on', 'true', 'yes', 'enabled' ].indexOf(String(uci.get('owsync', name, 'enabled'))) >= 0;
	}
});
