'use strict';
'require baseclass';
'require owsync.daemon as daemon';
'require owsync.dialog as dialog';
'require owsync.invitation as invitation';
'require owsync.live as live';
'require owsync.packages as packages';
'require owsync.peers as peers';
'require owsync.poller as poller';
'require owsync.service as service';
'require owsync.words as words';
/* global daemon, dialog, invitation, live, packages, peers, poller, service, words */

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

/* Steps that are taken one after the other, each shown while it lasts and when it is done. */
function walk(box, steps) {
	const list = live.node('ol', { 'class': 'owsync-steps', 'role': 'status' });

	live.text(box, '');
	box.appendChild(list);

	return steps.reduce(function(before, step) {
		return before.then(function(found) {
			const state = live.node('span', { 'class': words.state('syncing')[1] }, _('under way'));
			const line = live.node('li', {}, live.node('span', { 'class': 'spinning' }, step.text), ' ', state);

			list.appendChild(line);

			return step.act(found).then(function(result) {
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

function switchOn() {
	return {
		text: _('Switching owsync on, now and at every start of this router'),
		act: function() {
			return service.enable();
		}
	};
}

return baseclass.extend({
	/* Shows it in an element; `done` is called when the reader goes on to the overview. */
	begin: function(parent, done) {
		const self = this;

		live.text(parent, '');
		parent.appendChild(live.node('p', { 'class': 'spinning' }, _('Looking at this router …')));

		return packages.load().catch(function(error) {
			dialog.fail(error);

			return [];
		}).then(function(list) {
			live.text(parent, '');
			parent.appendChild(self.form(list, done));
		});
	},

	form: function(list, done) {
		const self = this;
		const boxes = chooser(list);
		const addresses = invitation.addresses();
		const text = live.node('textarea', {
			'class': 'cbi-input-textarea owsync-text', 'rows': 8, 'spellcheck': 'false', 'autocomplete': 'off',
			'id': 'owsync-join', 'placeholder': '[owsync-join-1]\n…\n[owsync-join-end …]'
		});
		const progress = live.node('div', {});
		const reference = live.node('div', {},
			live.node('h3', {}, _('What to keep equal')),
			live.node('p', {}, _('These are the packages of settings on this router. Tick what is to be the same on all your routers. You can change this later, under Settings.')),
			boxes.node,
			addresses.node,
			live.node('div', { 'class': 'cbi-page-actions' }, dialog.button(_('Make this router the reference'), 'apply', function() {
				return self.refer(form, progress, boxes.value(), addresses.value(), done);
			})));
		const joining = live.node('div', {},
			live.node('h3', {}, _('The join text')),
			live.node('p', {}, _('On the router that is the reference open Services, owsync: it shows the text at the end of its own start, and later under “Invite a router”. What to sync comes with it. The files of this router that differ are replaced, and kept in its history.')),
			live.node('label', { 'for': 'owsync-join' }, _('Paste the whole text here:')), text,
			invitation.warning(),
			live.node('div', { 'class': 'cbi-page-actions' }, dialog.button(_('Join'), 'apply', function() {
				return self.join(form, progress, text.value, done);
			})));
		const roles = live.node('div', { 'class': 'owsync-choice', 'role': 'radiogroup', 'aria-label': _('Role of this router') },
			choice('reference', _('This router is the reference'),
				_('Its settings are the ones that count. Choose this on the first router.'), true),
			choice('join', _('Join another router'),
				_('This router takes over what is synced from the reference. Choose this on every further router.'), false));

		roles.addEventListener('change', function(event) {
			live.shown(reference, event.target.value === 'reference');
			live.shown(joining, event.target.value === 'join');
		});
		live.shown(joining, false);

		const form = live.node('div', {},
			live.node('div', { 'class': 'cbi-map-descr' }, _('owsync keeps the settings of your routers equal: change something on one, and within a second it is on the others. Nothing is running yet. Which part does this router play?')),
			roles, reference, joining);

		return live.node('div', {}, form, progress);
	},

	/* While steps are taken, what they were made from is away; it comes back if one fails. */
	attempt: function(form, progress, steps) {
		live.shown(form, false);

		return walk(progress, steps).catch(function(error) {
			live.shown(form, true);
			throw error;
		});
	},

	refer: function(form, progress, chosen, addresses, done) {
		if (chosen.length === 0)
			throw new Error(_('Tick at least one package, so that there is something to sync.'));

		return this.attempt(form, progress, [
			{
				text: _('Noting what is to be synced'),
				act: function() {
					return service.change({ include: chosen });
				}
			},
			switchOn(),
			{
				text: _('Making a key, and this router the reference'),
				act: function() {
					return daemon.call('init', addresses);
				}
			}
		]).then(function(made) {
			progress.appendChild(live.node('div', { 'class': 'cbi-section' },
				live.node('h3', {}, _('Now the other router')),
				invitation.text(made)));
			poller.watch(progress, _('As soon as it has joined it is shown here.'));
			progress.appendChild(live.node('div', { 'class': 'cbi-page-actions' },
				dialog.button(_('Go on to the overview'), 'apply', done)));
		});
	},

	join: function(form, progress, text, done) {
		if (text.indexOf('[owsync-join') < 0)
			throw new Error(_('This is no join text: it begins with [owsync-join and ends with a closing bracket.'));

		return this.attempt(form, progress, [
			switchOn(),
			{
				text: _('Taking over the key and what is to be synced'),
				act: function() {
					return daemon.call('join', text);
				}
			},
			{
				text: _('Meeting the other router'),
				act: function(joined) {
					return service.until(function(status) {
						return peers.rows(status).some(function(row) {
							return row.peer.connected;
						});
					}, 15000).then(function(status) {
						const met = peers.rows(status).find(function(row) {
							return row.peer.connected;
						});
						const first = peers.rows(status)[0];

						if (!met)
							throw new Error(_('This router has joined %s, and could not reach it yet: %s It is tried again by itself.')
								.format(joined.joined, first ? words.peer(first.name, first.peer) : ''));

						return joined;
					});
				}
			}
		]).then(function(joined) {
			progress.appendChild(live.node('p', { 'class': 'alert-message success' },
				_('This router has joined %s.').format(joined.joined)));
			poller.watch(progress, _('The two routers exchange what they have.'));
			progress.appendChild(live.node('div', { 'class': 'cbi-page-actions' },
				dialog.button(_('Go on to the overview'), 'apply', done)));
		}, function(error) {
			/* From here on the overview shows what is amiss, and tries again: there is nothing left to be set up. */
			return daemon.call('status').then(function(status) {
				if (status.key_fingerprint)
					return done().then(function() {
						throw error;
					});

				throw error;
			}, function() {
				throw error;
			});
		});
	}
});
