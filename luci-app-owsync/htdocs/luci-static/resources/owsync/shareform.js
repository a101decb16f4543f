'use strict';
'require baseclass';
'require form';
'require uci';
'require owsync.live as live';
'require owsync.matching as matching';
'require owsync.options as options';
'require owsync.peerform as peerform';
'require owsync.values as values';
'require owsync.words as words';
/* global live, matching, options, peerform, values, words */

/*
 * Shares: one row each, the first of which is the share `main` that every router has in its own section.
 */
return baseclass.extend({
	/* Fills the tab. `type` is that of the section with the share main, `status` the daemon's, if it answers. */
	fill: function(section, status) {
		const main = section.taboption('shares', form.SectionValue, '_main', form.GridSection, 'owsync', _('The share main'),
			_('What is kept in sync: a directory, and which files in it.')).subsection;
		const first = uci.sections('owsync', 'owsync')[0];

		/* Only the first section of its type counts. */
		main.filter = function(name) {
			return !first || name === first['.name'];
		};
		main.anonymous = false;
		main.addremove = false;
		main.nodescriptions = true;
		main.sectiontitle = function() {
			return 'main';
		};
		main.modaltitle = function() {
			return _('Share %s').format('main');
		};
		this.grid(main, status, function() {
			return 'main';
		});

		const more = section.taboption('shares', form.SectionValue, '_shares', form.GridSection, 'share', _('Further shares'),
			_('Other directories. A share has the same name on every router; its directory may differ.')).subsection;

		more.anonymous = false;
		more.addremove = true;
		more.nodescriptions = true;
		more.modaltitle = function(name) {
			return _('Share %s').format(name);
		};
		this.grid(more, status, String);
	},

	grid: function(grid, status, nameOf) {
		const isMain = grid.sectiontype === 'owsync';

		grid.tab('files', _('Files'));
		grid.tab('ways', _('Behaviour'));
		grid.tab('safety', _('Safety'));
		/* Else LuCI opens the tab with the number of the one that is open behind the dialog. */
		grid.addModalOptions = function(modal) {
			modal.selected_tab = 'files';
		};
		this.state(grid, status, nameOf);
		this.files(grid, isMain);
		this.ways(grid, isMain);
		this.safety(grid);
	},

	state: function(grid, status, nameOf) {
		const option = grid.taboption('files', form.DummyValue, '_state', _('State'));

		option.modalonly = false;
		option.textvalue = function(section) {
			const share = ((status || {}).shares || {})[nameOf(section)];

			if (!share)
				return live.node('span', {}, '–');

			const state = words.state(share.hold ? (words.isDecision(share.hold) ? 'held' : 'stopped') : share.state);

			return live.node('span', {}, live.node('span', { 'class': state[1] }, state[0]), ' ',
				N_(share.files, '%d file', '%d files').format(share.files));
		};
	},

	files: function(grid, isMain) {
		const dir = options.text(grid, 'dir', _('Directory'), _('Where its files are on this router.'),
			{ tab: 'files', check: values.path, isNeeded: !isMain });

		/* The daemon refuses a share that has patterns and no directory, and the whole package with it. */
		if (isMain)
			dir.validate = function(section, value) {
				if (value)
					return values.path(value);

				return L.toArray(this.section.formvalue(section, 'include')).length === 0 || _('A value is needed.');
			};

		options.list(grid, 'include', _('Files'),
			_('Names below the directory, or patterns: “*” stands for anything, “?” for one character, “[ab]” for one of several. A directory takes along what is in it. Without any nothing is synced.'),
			{ tab: 'files', check: matching.check, placeholder: 'dhcp' });

		options.list(grid, 'exclude', _('Except'), _('What matches one of these is never synced. Nothing is deleted by a change of this.'),
			{ tab: 'files', check: matching.check, isModal: true, placeholder: 'network' });

		options.list(grid, 'local', _('Only on this router'),
			_('Options of UCI packages that keep their own value on each router: PACKAGE.SECTION.OPTION, such as network.lan.ipaddr. Without an option, the whole section exists on this router only. “!” before a pattern syncs what an earlier one covers.'),
			{ tab: 'files', check: values.local, isModal: true, placeholder: 'network.lan.ipaddr' });

		const matches = grid.taboption('files', form.DummyValue, '_matches', _('Found now'));

		matches.modalonly = true;
		matches.renderWidget = function(section) {
			return matching.watch(this.section, section);
		};

		options.choice(grid, 'symlinks', _('Symlinks'), _('Only those whose target stays inside the share are ever synced.'), {
			tab: 'files', isModal: true, standard: 'ignore', choices: [
				[ 'ignore', _('Leave out') ],
				[ 'copy', _('Sync') ]
			]
		});

		options.text(grid, 'max_file_size', _('Largest file'),
			_('Larger ones are reported and left out. Bytes, or such as 16M; 0 means any size.'),
			{ tab: 'files', check: values.size, isModal: true, standard: '16M' });
	},

	ways: function(grid, isMain) {
		/* The share main is switched off by choosing no file: its `enabled` is that of the whole node. */
		if (!isMain)
			options.flag(grid, 'enabled', _('Enabled'), _('Whether this share is used at all.'),
				{ tab: 'ways', standard: '1' });

		options.choice(grid, 'direction', _('Direction'), null,
			{ tab: 'ways', standard: 'both', choices: peerform.directions() });

		options.choice(grid, 'mode', _('When'),
			_('By hand, changes wait on each router until a user presses Sync now there.'),
			{ tab: 'ways', isModal: true, standard: 'auto', choices: [
				[ 'auto', _('At once') ],
				[ 'manual', _('By hand') ]
			] });

		options.choice(grid, 'propagate_deletions', _('Deletions'), null,
			{ tab: 'ways', isModal: true, standard: 'both', choices: [
				[ 'both', _('Are sent and received') ],
				[ 'send', _('Are only sent') ],
				[ 'receive', _('Are only received') ],
				[ 'none', _('Stay where they were made') ]
			] });

		options.text(grid, 'reload', _('Services to notify'),
			_('What to do when a change was applied: “uci” reloads the services of the packages, “none” does nothing; or the absolute path of a program, or names of init scripts. Empty: “uci” below /etc/config, else “none”.'),
			{ tab: 'ways', check: values.reload, isModal: true });

		options.text(grid, 'hook', _('Program for events'),
			_('An absolute path. The program is notified of what happens in this share. It must not be in a synced directory.'),
			{ tab: 'ways', check: values.path, isModal: true });

		options.text(grid, 'hook_timeout', _('Time for that program'), _('In seconds, or such as 5m.'),
			{ tab: 'ways', check: values.duration(1, 3600, false), isModal: true, standard: '30' });
	},

	safety: function(grid) {
		options.text(grid, 'validate', _('Check before'),
			_('An absolute path. The program checks a change before it is applied, and may refuse it.'),
			{ tab: 'safety', check: values.path, isModal: true });

		options.text(grid, 'confirm', _('Roll back after'),
			_('A change is rolled back unless the router that sent it responds within this time: 5 s to 1 h, 0 for never. Empty: 60 s for network, wireless, firewall and dropbear, else never.'),
			{ tab: 'safety', check: values.duration(5, 3600, true), isModal: true });

		options.text(grid, 'probe', _('Check after'),
			_('An absolute path. The program checks whether this router still works after a change was applied. If not, the change is rolled back.'),
			{ tab: 'safety', check: values.path, isModal: true });

		options.text(grid, 'delete_guard', _('Stop at deletions of'),
			_('Percent of the files. If more are deleted at once, at least 10, owsync stops and asks. 0 means never.'),
			{ tab: 'safety', check: values.number(0, 100), isModal: true, standard: '50' });

		options.flag(grid, 'propagate_approvals', _('Pass on approvals'),
			_('Whether what is approved on one router needs no approval on the others. Only routers whose identity is known are believed.'),
			{ tab: 'safety', isModal: true, standard: '1' });

		options.flag(grid, 'merge', _('Merge changes'),
			_('Whether changes that two routers made to one configuration file at the same time are merged option by option. If not, the newer file replaces the other one.'),
			{ tab: 'safety', isModal: true, standard: '1' });

		options.text(grid, 'min_free', _('Keep free'),
			_('Space that must stay free on the storage. Bytes, or such as 1M.'),
			{ tab: 'safety', check: values.size, isModal: true, standard: '1M' });

		options.text(grid, 'soft_max_time', _('Warn after'),
			_('If an exchange takes longer, this is reported. In seconds, or such as 5m; 0 means never.'),
			{ tab: 'safety', check: values.duration(0, 1e15, true), isModal: true, standard: '0' });

		options.text(grid, 'hard_max_time', _('Give up after'),
			_('If an exchange takes longer, it is given up and tried again. In seconds, or such as 5m; 0 means never.'),
			{ tab: 'safety', check: values.duration(0, 1e15, true), isModal: true, standard: '0' });

		options.flag(grid, 'release_guard', _('Wait for upgrades'),
			_('Packages wait while two routers run different releases of OpenWrt.'),
			{ tab: 'safety', isModal: true, standard: '1' });

		options.flag(grid, 'allow_setuid', _('Set-user-id bits'),
			_('Whether files may arrive with them. Only where every other router is trusted like this one.'),
			{ tab: 'safety', isModal: true, standard: '0' });
	}
});
