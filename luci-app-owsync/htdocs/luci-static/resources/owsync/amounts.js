'use strict';
'require baseclass';

/*
 * Formats times, durations and sizes.
 */

const FORM = { dateStyle: 'medium', timeStyle: 'medium' };

return baseclass.extend({
	/* A moment, in seconds since 1970, in the words of the reader's language. */
	time: function(seconds) {
		return new Intl.DateTimeFormat(document.documentElement.lang || undefined, FORM)
			.format(new Date(seconds * 1000));
	},

	/* A duration in its largest unit, so that nothing jumps at every poll. */
	duration: function(seconds) {
		const whole = Math.max(0, Math.floor(seconds));

		if (whole < 60)
			return N_(whole, '%d second', '%d seconds').format(whole);

		if (whole < 3600)
			return N_(Math.floor(whole / 60), '%d minute', '%d minutes').format(Math.floor(whole / 60));

		if (whole < 86400)
			return N_(Math.floor(whole / 3600), '%d hour', '%d hours').format(Math.floor(whole / 3600));

		return N_(Math.floor(whole / 86400), '%d day', '%d days').format(Math.floor(whole / 86400));
	},

	/* How long ago a moment was, by the clock of the router where it is known. */
	ago: function(seconds, now) {
		const passed = (now || Date.now() / 1000) - seconds;

		if (passed < 5)
			return _('just now');

		return _('%s ago').format(this.duration(passed));
	},

	/* Bytes. */
	size: function(bytes) {
		if (bytes < 1024)
			return N_(bytes, '%d byte', '%d bytes').format(bytes);

		return '%1024.1mB'.format(bytes);
	},

	/* A digest or identity, short enough to be compared by eye. */
	short: function(hex) {
		return String(hex || '').substring(0, 16).replace(new RegExp('(.{4})(?=.)', 'g'), '$1 ');
	}
});
