'use strict';
'require baseclass';
'require owsync.live as live';
'require owsync.service as service';
'require owsync.words as words';
/* global live, service, words */

/*
 * Steps that are taken one after the other, each shown while it lasts and when it is done.
 *
 * A step has its `text`, and `act`, which takes what the step before came to and promises what it comes to itself.
 */

function walk(box, steps) {
	const list = live.node('ol', { 'class': 'owsync-steps', 'role': 'status' });

	live.text(box, '');
	box.appendChild(list);

	return steps.reduce(function(before, step) {
		return before.then(function(found) {
			const state = live.node('span', { 'class': words.state('syncing')[1] }, _('under way'));
			const line = live.node('li', {}, live.node('span', { 'class': 'spinning' }, step.text), ' ', state);

			list.appendChild(line);

			return Promise.resolve(found).then(step.act).then(function(result) {
				line.firstElementChild.classList.remove('spinning');
				live.attribute(state, 'class', words.state('done')[1]);
				live.text(state, _('done'));

				return result;
			}, function(error) {
				line.firstElementChild.classList.remove('spinning');
				live.attribute(state, 'class', words.state('failed')[1]);
				live.text(state, _('failed'));
				list.parentNode.appendChild(live.node('p', { 'class': 'alert-message danger', 'role': 'alert' },
					error.message));
				error.isShown = true;
				throw error;
			});
		});
	}, Promise.resolve());
}

return baseclass.extend({
	/* The first step of every setting up. */
	switchOn: function() {
		return {
			text: _('Enabling owsync, now and at every start of this router'),
			act: function() {
				return service.enable();
			}
		};
	},

	/* While steps are taken, the form that they were made from is away; it comes back if one fails. */
	take: function(frame, list) {
		live.shown(frame.form, false);

		return walk(frame.progress, list).catch(function(error) {
			live.shown(frame.form, true);
			throw error;
		});
	}
});
