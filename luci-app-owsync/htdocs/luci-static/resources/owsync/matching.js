'use strict';
'require baseclass';
'require fs';
'require owsync.glob as glob';
'require owsync.live as live';
'require owsync.packages as packages';
'require owsync.values as values';
/* global glob, live, packages, values */

/*
 * The files that a share's patterns match at this moment, while they are being typed, and what is odd about a pattern.
 */

/* Names that are read, names that are shown, depth of directories, and interval between checks of the form (ms). */
const NAMES_MAX = 2000;
const SHOWN = 100;
const DEPTH_MAX = 5;
const EVERY = 700;

/* The names below a directory, as paths. */
function walk(root) {
	const found = [];

	function into(below, depth) {
		return fs.list(root + (below ? '/' + below : '')).then(function(entries) {
			return entries.reduce(function(before, entry) {
				const path = below ? below + '/' + entry.name : entry.name;

				if (found.length >= NAMES_MAX)
					return before;

				if (entry.type !== 'directory') {
					found.push(path);

					return before;
				}

				return depth >= DEPTH_MAX ? before : before.then(function() {
					return into(path, depth + 1).catch(function() {
						/* A directory that cannot be read is not looked into, as the daemon does not. */
						return null;
					});
				});
			}, Promise.resolve());
		});
	}

	return into('', 0).then(function() {
		return found;
	});
}

/* Names that are never synced. */
function isReserved(root, path) {
	return root === '/etc/config' && (path === 'owsync' || path.slice(-8) === '.apk-new' || path.slice(-5) === '-opkg');
}

function texts(value) {
	return L.toArray(value).map(String).filter(function(text) {
		return text !== '';
	});
}

/* What the daemon warns of in a pattern, or refuses; null, if nothing. */
function hint(root, pattern) {
	const absolute = glob.absolute(pattern, root);
	const doubt = glob.doubt(pattern);

	if (doubt)
		return doubt.sentence;

	if (!absolute)
		return null;

	return absolute.meant === null
		? _('The pattern looks like an absolute path that is not in this share: it only matches %s.').format(root + pattern)
		: _('The pattern is an absolute path, and patterns are relative to the directory: “%s” is used.')
			.format(absolute.meant);
}

/* A pattern as the daemon takes it. */
function meant(root, pattern) {
	const absolute = glob.absolute(pattern, root);

	return absolute && absolute.meant !== null ? absolute.meant : pattern;
}

function warnings(root, paths) {
	return root === '/etc/config' ? paths.filter(function(path) {
		return packages.warning(path) !== null;
	}) : [];
}

return baseclass.extend({
	walk: walk,

	/* Whether a pattern may stand in the settings: true, or why the daemon would refuse it. */
	check: function(pattern) {
		const found = glob.doubt(pattern);

		return found && found.isWrong ? found.sentence : values.pattern(pattern);
	},

	/* An element that follows what is typed into the options of a form's section. */
	watch: function(form, section) {
		const count = live.node('p', { 'role': 'status' });
		const list = live.node('ul', { 'class': 'owsync-plain owsync-matches owsync-scroll' });
		const warning = live.node('ul', { 'class': 'owsync-plain' });
		const hints = live.node('ul', { 'class': 'owsync-plain owsync-hints' });
		const box = live.node('div', {}, live.style(), hints, count, list, warning);
		let root = null;
		let names = [];
		let seen = null;

		function value(option) {
			return form.formvalue(section, option);
		}

		function advise(patterns) {
			live.list(hints, patterns.filter(function(pattern, at) {
				return hint(root, pattern) !== null && patterns.indexOf(pattern) === at;
			}), String, function() {
				return live.node('li', { 'class': 'alert-message warning' });
			}, function(line, pattern) {
				live.text(line, _('%s: %s').format(pattern, hint(root, pattern)));
			});
		}

		function show(given, left) {
			const taken = meant.bind(null, root);
			const includes = given.map(taken);
			const excludes = left.map(taken);
			const matched = names.filter(function(path) {
				return !isReserved(root, path) && glob.holds(includes, excludes, path);
			});

			live.text(count, N_(names.length, '%d of %d file is synced.', '%d of %d files are synced.')
				.format(matched.length, names.length));
			live.list(list, matched.slice(0, SHOWN), String, function(path) {
				return live.node('li', { 'class': 'owsync-path' }, path);
			}, function() {});
			live.list(warning, warnings(root, matched), String, function(path) {
				return live.node('li', { 'class': 'alert-message warning' },
					_('%s: %s').format(path, packages.warning(path)));
			}, function() {});
		}

		function look() {
			const dir = String(value('dir') || '');
			const bare = dir.length > 1 && dir.slice(-1) === '/' ? dir.slice(0, -1) : dir;
			const includes = texts(value('include'));
			const excludes = texts(value('exclude'));
			const now = JSON.stringify([ bare, includes, excludes ]);

			if (now === seen)
				return;

			seen = now;

			if (bare === root) {
				advise(includes.concat(excludes));
				show(includes, excludes);

				return;
			}

			root = bare;
			names = [];
			advise(includes.concat(excludes));
			walk(bare).then(function(found) {
				if (root === bare) {
					names = found;
					show(includes, excludes);
				}
			}, function() {
				live.text(count, _('This directory cannot be read.'));
			});
		}

		const timer = window.setInterval(function() {
			if (box.isConnected)
				look();
			else if (seen !== null)
				window.clearInterval(timer);
		}, EVERY);

		return box;
	}
});
