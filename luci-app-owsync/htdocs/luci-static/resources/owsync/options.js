'use strict';
'require baseclass';
'require form';
'require uci';
'require owsync.live as live';
/* global live */

/*
 * Options of a form, as owsync's package has them.
 *
 * A value that is the daemon's own default is not written, so that a later version may have another one. Names from
 * owsync 1.x are read, and replaced by the present ones as soon as a value is written. The option `key` is not one of
 * these: no page reads or writes it.
 */

const FORMER = { bind_host: 'host', database: 'db', dir: 'sync_dir', name: 'node_name' };

function read(option) {
	return function(section) {
		const value = uci.get('owsync', section, option);

		/* Asked for no option, uci gives the whole section. */
		if ((value === null || value === undefined) && FORMER[option])
			return uci.get('owsync', section, FORMER[option]);

		return value;
	};
}

function isDefault(option, value) {
	return option.owsyncDefault !== undefined && String(value) === option.owsyncDefault;
}

function write(section, value) {
	if (FORMER[this.option])
		uci.unset('owsync', section, FORMER[this.option]);

	if (isDefault(this, value))
		uci.unset('owsync', section, this.option);
	else
		uci.set('owsync', section, this.option, value);
}

function remove(section) {
	if (FORMER[this.option])
		uci.unset('owsync', section, FORMER[this.option]);

	uci.unset('owsync', section, this.option);
}

/* A check of a whole value: nothing at all is always allowed, except where a value is needed. */
function validate(check, isNeeded) {
	return function(section, value) {
		const text = String(value === null || value === undefined ? '' : value);

		if (text === '')
			return isNeeded ? _('A value is needed.') : true;

		return check ? check(text) : true;
	};
}

/* Adds an option. Of `form`: `tab` where it is shown, `check` of its values, `standard` its default. */
function add(section, type, name, title, description, about) {
	const option = about.tab === undefined
		? section.option(type, name, title, description)
		: section.taboption(about.tab, type, name, title, description);

	option.modalonly = about.isModal === undefined ? null : about.isModal;
	option.cfgvalue = read(name);
	option.write = write;
	option.remove = remove;
	option.validate = validate(about.check, about.isNeeded);
	option.rmempty = true;
	option.optional = !about.isNeeded;

	return option;
}

return baseclass.extend({
	/* A text, with the daemon's default as its placeholder. */
	text: function(section, name, title, description, about) {
		const option = add(section, form.Value, name, title, description, about);

		option.placeholder = about.standard;

		return option;
	},

	/* Several texts. */
	list: function(section, name, title, description, about) {
		const option = add(section, form.DynamicList, name, title, description, about);

		option.placeholder = about.placeholder;

		return option;
	},

	/* A switch. */
	flag: function(section, name, title, description, about) {
		const option = add(section, form.Flag, name, title, description, about);

		option.validate = function() {
			return true;
		};
		option.default = about.standard;
		option.owsyncDefault = about.standard;
		option.editable = about.isModal !== true;
		/* LuCI's label beside it belongs to an element of another name, so to a screen reader the box has none. */
		option.renderWidget = function() {
			const frame = form.Flag.prototype.renderWidget.apply(this, arguments);

			frame.querySelector('input[type="checkbox"]').setAttribute('aria-label', title);

			return frame;
		};

		return option;
	},

	/* One of several words; `choices` are pairs of a word and what it means. */
	choice: function(section, name, title, description, about) {
		const option = add(section, form.ListValue, name, title, description, about);

		about.choices.forEach(function(choice) {
			option.value(choice[0], choice[1]);
		});
		option.default = about.standard;
		option.owsyncDefault = about.standard;
		option.optional = false;
		option.textvalue = function(name) {
			const word = this.cfgvalue(name) || about.standard;
			const known = about.choices.find(function(choice) {
				return choice[0] === word;
			});

			/* A text would be read as HTML here, and anything may stand in a package. */
			return live.node('span', {}, known ? known[1] : word);
		};

		return option;
	}
});
