'use strict';
'require view';
'require poll';
'require owsync.acts as acts';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.live as live';
'require owsync.node as node';
'require owsync.peers as peers';
'require owsync.service as service';
'require owsync.setup as setup';
'require owsync.shares as shares';
'require owsync.verdict as verdict';
/* global acts, daemon, dialog, live, node, peers, service, setup, shares, verdict */

/*
 * Is everything in sync, since when, and if not why not: and the buttons for that.
 */

/* The status, or why there is none and what is known of the service then. */
function look(mayAct) {
	return daemon.call('status').then(function(status) {
		return { status: status };
	}, function(error) {
		return service.look(mayAct).then(function(state) {
			return { error: error, service: state };
		});
	});
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: function() {
		/* Only null in a session that may not even look, which then sees nothing else either. */
		this.mayAct = L.hasViewPermission() === true;

		return Promise.all([ look(this.mayAct), this.mayAct ? service.look(true) : null ]);
	},

	render: function(found) {
		const self = this;

		this.last = {};
		this.counted = null;
		this.acts = acts.of(this);
		this.top = this.makeTop();
		this.sections = [ peers.section(this), shares.section(this), node.section(), node.events(this) ];
		this.running = live.node('div', {}, this.makeBar(), this.sections.map(function(section) {
			return section.node;
		}));
		this.setup = live.node('div', {});
		this.normal = live.node('div', {}, this.top.node, this.running);
		this.update(found[0]);
		poll.add(function() {
			return self.refresh();
		}, 5);
		window.setInterval(function() {
			self.tick();
		}, 1000);

		return live.node('div', {},
			live.style(),
			live.node('h2', {}, _('owsync')),
			this.setup,
			this.normal);
	},

	refresh: function() {
		const self = this;

		return look(this.mayAct).then(function(found) {
			self.update(found);
		});
	},

	/* Shows what was found: the guided start where nothing is set up, else the sentence on top and the tables. */
	update: function(found) {
		const isNew = found.status ? verdict.isNew(found.status)
			: found.error.isAway && found.service && !found.service.isEnabled && !found.service.isSetUp;

		if (this.mayAct && (isNew || this.isSettingUp)) {
			this.beginSetup();

			return;
		}

		live.shown(this.setup, false);
		live.shown(this.normal, true);
		live.shown(this.running, found.status !== undefined);
		this.status = found.status;
		this.received = Date.now();
		this.showVerdict(found.status ? verdict.of(found.status)
			: verdict.ofSilence(found.error, found.service || {}, this.mayAct));

		if (!found.status)
			return;

		this.sections.forEach(function(section) {
			section.update(found.status);
		});
		this.lookBack(found.status);
	},

	/* Counts down between two polls, while something is to be decided within a time. */
	tick: function() {
		if (this.status && !this.isSettingUp && verdict.isUrgent(this.status))
			this.showVerdict(verdict.of(this.status, Math.floor((Date.now() - this.received) / 1000)));
	},

	/* The guided start stays as it is until it is over: what is typed there must not go. */
	beginSetup: function() {
		const self = this;

		live.shown(this.setup, true);
		live.shown(this.normal, false);

		if (this.isSettingUp)
			return;

		this.isSettingUp = true;
		setup.begin(this.setup, function() {
			self.isSettingUp = false;
			live.text(self.setup, '');

			return self.refresh();
		});
	},

	/* The newest version of every share, asked for only after something changed. */
	lookBack: function(status) {
		const self = this;
		const counters = status.counters || {};
		const counted = [ counters.edited, counters.applied, counters.history_bytes ].join(' ');

		if (counted === this.counted)
			return;

		this.counted = counted;
		Object.keys(status.shares || {}).forEach(function(name) {
			daemon.call('history', name, null, 1).then(function(answer) {
				const versions = L.toArray(answer.versions);

				self.last[name] = versions[versions.length - 1];
				self.sections[1].update(self.status || status);
			}, function() {
				/* Without history there is no last change to be shown, and everything else stands. */
				self.counted = null;
			});
		});
	},

	makeTop: function() {
		const sentence = live.node('h4', {});
		const advice = live.node('p', {});
		const details = live.node('pre', {});
		const buttons = live.node('div', { 'class': 'owsync-buttons' });

		return {
			node: live.node('div', { 'class': 'alert-message owsync-verdict', 'role': 'status' },
				live.node('div', {}, sentence, advice, details), buttons),
			sentence: sentence,
			advice: advice,
			details: details,
			buttons: buttons
		};
	},

	showVerdict: function(found) {
		const self = this;

		live.attribute(this.top.node, 'class', 'alert-message owsync-verdict ' + found.tone);
		live.text(this.top.sentence, found.sentence);
		live.text(this.top.advice, found.advice || '');
		live.shown(this.top.advice, found.advice);
		live.text(this.top.details, found.details || '');
		live.shown(this.top.details, found.details);
		live.list(this.top.buttons, this.mayAct ? found.actions : [], function(action) {
			return action.name + ' ' + action.label;
		}, function(action) {
			/* What it is about may change while it keeps its name. */
			const button = dialog.button(action.label, 'action', function() {
				return self.acts[button.owsyncAction.name].apply(null, button.owsyncAction.args);
			});

			return button;
		}, function(button, action) {
			button.owsyncAction = action;
		});
	},

	makeBar: function() {
		const self = this;

		if (!this.mayAct)
			return live.node('p', {}, _('This account has read access only.'));

		return live.node('div', { 'class': 'owsync-buttons owsync-bar' },
			dialog.button(_('Sync now'), 'action', function() {
				return self.acts.sync(null, null);
			}),
			dialog.button(_('Preview Sync now'), 'neutral', function() {
				return self.acts.preview(null, null);
			}),
			dialog.button(_('Pause'), 'neutral', function() {
				return self.acts.pause(null, null);
			}),
			dialog.button(_('Invite a router'), 'neutral', function() {
				return self.acts.invite();
			}));
	}
});
