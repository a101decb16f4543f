'use strict';
'require baseclass';
'require ui';
'require owsync.live as live';
/* global live */

/*
 * Buttons and dialogs. A failure is said where the reader is: in the dialog if one is open, else on top of the page.
 */

let opener = null;

/* LuCI takes the focus from a button before it does what the button is for. */
let pressed = null;

function messageOf(error) {
	return String(error && error.message ? error.message : error);
}

return baseclass.extend({
	/* A button that is busy while what it started is under way. `style` is one of LuCI's: action, apply, remove, ... */
	button: function(label, style, handler) {
		const self = this;

		return live.node('button', {
			'class': 'btn cbi-button cbi-button-' + (style || 'neutral'),
			'type': 'button',
			'click': ui.createHandlerFn(this, function(event) {
				pressed = event.currentTarget;

				return Promise.resolve().then(function() {
					return handler(event);
				}).catch(function(error) {
					self.fail(error);
				});
			})
		}, label);
	},

	/* A button that closes the dialog. */
	closing: function(label) {
		const self = this;

		return live.node('button', { 'class': 'btn', 'type': 'button', 'click': function() {
			self.close();
		} }, label || _('Close'));
	},

	/* A row of buttons at the end of a dialog. */
	buttons: function() {
		const row = live.node('div', { 'class': 'right owsync-buttons' });

		Array.prototype.slice.call(arguments).forEach(function(button) {
			if (button)
				row.appendChild(button);
		});

		return row;
	},

	/* Opens a dialog. The keyboard is in it from then on, and Escape closes it. */
	open: function(title) {
		const self = this;
		const children = Array.prototype.slice.call(arguments, 1).filter(function(child) {
			return child !== null;
		});

		opener = opener || pressed || document.activeElement;

		/* Its title goes in as a node: a text would be read as HTML. */
		const box = ui.showModal([ title ], [ live.style() ].concat(children), 'owsync-dialog');

		box.setAttribute('role', 'dialog');
		box.setAttribute('aria-modal', 'true');
		box.setAttribute('aria-label', title);

		if (!box.owsyncKeys) {
			box.owsyncKeys = true;
			box.addEventListener('keydown', function(event) {
				if (event.key === 'Escape' && box.classList.contains('owsync-dialog'))
					self.close();
			});
		}

		const first = box.querySelector('textarea, input, select, button');

		if (first)
			first.focus();

		return box;
	},

	/* The same with room for tables and differences. */
	openWide: function() {
		const box = this.open.apply(this, arguments);

		box.classList.add('owsync-wide');

		return box;
	},

	close: function() {
		ui.hideModal();

		if (opener && document.contains(opener))
			opener.focus();

		opener = null;
	},

	/* Asks before something is done that cannot simply be undone. `act` is done if the answer is yes. */
	confirm: function(title, explanation, label, style, act) {
		const self = this;

		this.open(title,
			live.node('p', {}, explanation),
			this.buttons(this.closing(_('Cancel')), this.button(label, style, function() {
				return act().then(function() {
					self.close();
				});
			})));
	},

	/* Says that something was done. */
	tell: function(text) {
		ui.addNotification(null, live.node('p', {}, text), 'info');
	},

	/* Says what failed, unless that was said already. */
	fail: function(error) {
		if (error && error.isShown)
			return;

		const box = document.body.classList.contains('modal-overlay-active')
			? document.querySelector('.modal.owsync-dialog') : null;
		const text = messageOf(error);

		if (!box) {
			ui.addNotification(null, live.node('p', {}, text), 'danger');

			return;
		}

		let line = box.querySelector('.owsync-failure');

		if (!line) {
			line = live.node('p', { 'class': 'alert-message danger owsync-failure', 'role': 'alert' });
			box.insertBefore(line, box.lastElementChild);
		}

		live.text(line, text);
	}
});
