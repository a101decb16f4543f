'use strict';
'require baseclass';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.invitation as invitation';
'require owsync.joining as joining';
'require owsync.live as live';
'require owsync.packages as packages';
'require owsync.poller as poller';
'require owsync.service as service';
'require owsync.steps as steps';
'require owsync.usual as usual';
/* global daemon, dialog, invitation, joining, live, packages, poller, service, steps, usual */

/*
 * The guided start: from a router on which owsync was never used to one that is in sync, without a terminal.
 *
 * The first thing it does is to switch owsync on, since only the daemon can make a key or read a join text.
 */

function choice(value, title, explanation, isChecked) {
	const input = live.node('input', { 'type': 'radio', 'name': 'owsync-role', 'value': value });

	input.checked = isChecked;

	return live.node('label', {}, input, ' ', live.node('strong', {}, title),
		live.node('br'), live.node('span', {}, explanation));
}

return baseclass.extend({
	/* Shows it in an element; `done` is called when the reader continues to the overview. */
	begin: function(parent, done) {
		const self = this;

		live.text(parent, '');
		parent.appendChild(live.node('p', { 'class': 'spinning' }, _('Checking this router …')));

		return packages.load().catch(function(error) {
			dialog.fail(error);

			return [];
		}).then(function(list) {
			live.text(parent, '');
			parent.appendChild(self.form(list, done));
		});
	},

	/* The whole form: a `frame` has it, the progress of what it starts, and what is done when the reader continues. */
	form: function(list, done) {
		const frame = { form: live.node('div', {}), progress: live.node('div', {}), done: done };
		const reference = this.reference(list, frame);
		const join = joining.part(list, frame);
		const roles = live.node('div', { 'class': 'owsync-choice', 'role': 'radiogroup', 'aria-label': _('Role of this router') },
			choice('reference', _('This router is the reference'),
				_('Its settings are the ones that count. Choose this on the first router.'), true),
			choice('join', _('Join another router'),
				_('This router takes over what is synced from the reference. Choose this on every further router.'), false));

		roles.addEventListener('change', function(event) {
			live.shown(reference, event.target.value === 'reference');
			live.shown(join, event.target.value === 'join');
		});
		live.shown(join, false);

		[
			live.node('div', { 'class': 'cbi-map-descr' }, _('owsync keeps the settings of your routers in sync: change something on one, and within a second it is on the others. Nothing is running yet. Which part does this router play?')),
			roles, reference, join
		].forEach(function(part) {
			frame.form.appendChild(part);
		});

		return live.node('div', {}, frame.form, frame.progress);
	},

	reference: function(list, frame) {
		const self = this;
		const boxes = packages.chooser(list);
		const locals = usual.chooser(boxes.value);
		const addresses = invitation.addresses();

		boxes.node.addEventListener('change', locals.update);

		return live.node('div', {},
			live.node('h3', {}, _('What to keep in sync')),
			live.node('p', {}, _('These are the packages of settings on this router. Select what should be the same on all your routers. You can change this later, under Settings.')),
			boxes.node,
			locals.node,
			addresses.node,
			live.node('div', { 'class': 'cbi-page-actions' }, dialog.button(_('Make this router the reference'), 'apply', function() {
				return self.refer(frame, boxes.value(), locals.value(), addresses.value());
			})));
	},

	/*
	 * Makes what was ticked local, as far as it matches something: a pattern that matches nothing would be reported for
	 * good. Waits until it is in force, so that no router that joins takes these values over.
	 */
	keep: function(ticked) {
		if (ticked.length === 0)
			return null;

		return daemon.call('local').then(function(answer) {
			const found = L.toArray(answer.suggested).filter(function(pattern) {
				return ticked.indexOf(pattern) >= 0;
			});

			if (found.length === 0)
				return null;

			return service.change({ local: found }).then(function() {
				return daemon.call('reload');
			});
		});
	},

	refer: function(frame, chosen, locals, addresses) {
		if (chosen.length === 0)
			throw new Error(_('Select at least one package to sync.'));

		return steps.take(frame, [
			{
				text: _('Saving what is to be synced'),
				act: function() {
					return service.change({ include: chosen });
				}
			},
			steps.switchOn(),
			{
				text: _('Setting what stays on this router'),
				act: function() {
					return this.keep(locals);
				}.bind(this)
			},
			{
				text: _('Making a key, and this router the reference'),
				act: function() {
					return daemon.call('init', addresses);
				}
			}
		]).then(function(made) {
			frame.progress.appendChild(live.node('div', { 'class': 'cbi-section' },
				live.node('h3', {}, _('Now the other router')),
				invitation.text(made)));
			poller.watch(frame.progress, _('As soon as it has joined it is shown here.'));
			frame.progress.appendChild(live.node('div', { 'class': 'cbi-page-actions' },
				dialog.button(_('Continue to the overview'), 'apply', frame.done)));
		});
	}
});
