'use strict';
'require baseclass';
'require fs';
'require owsync.glob as glob';
'require owsync.live as live';
'require owsync.packages as packages';
/* global glob, live, packages */

/*
 * The files that a share's patterns match at this moment, while they are being typed.
 */

/* Names that are looked at, names that are shown, depth of directories, and how often the form is looked at (ms). */
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

/* Names that never travel. */
function isReserved(root, path) {
	return root === '/etc/config' && (path === 'owsync' || path.slice(-8) === '.apk-new' || path.slice(-5) === '-opkg');
}

function texts(value) {
	return L.toArray(value).map(String).filter(function(text) {
		return text !== '';
	});
}

function warnings(root, paths) {
	return root === '/etc/config' ? paths.filter(function(path) {
		return packages.warning(path) !== null;
	}) : [];
}

return baseclass.extend({
	walk: walk,

	/* An element that follows what is typed into the options of a form's section. */
	watch: function(form, section) {
		const count = live.node('p', { 'role': 'status' });
		const list = live.node('ul', { 'class': 'owsync-plain owsync-matches owsync-scroll' });
		const warning = live.node('ul', { 'class': 'owsync-plain' });
		const box = live.node('div', {}, live.style(), count, list, warning);
		let root = null;
		let names = [];
		let seen = null;

		function value(option) {
			return form.formvalue(section, option);
		}

		function show(includes, excludes) {
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
				show(includes, excludes);

				return;
			}

			root = bare;
			names = [];
			walk(bare).then(function(found) {
				if (root === bare) {
					names = found;
					show(includes, excludes);
				}
			}, function() {
				live.text(count, _('This directory cannot be looked at.'));
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
