'use strict';
'require baseclass';

/*
 * Which paths a share holds, and what is wrong with a pattern, by the rules of the daemon.
 *
 * Excludes are final, then one include must match. `*` matches anything, also `/`, `?` one character, `[a-z]` one of a
 * set and `[!a-z]` or `[^a-z]` one outside it; a backslash takes the next character as it is. A pattern that matches a
 * directory covers what is below it, and a `/` at either end is ignored. As for the daemon, a character is a byte of
 * UTF-8, and all functions here but those of the module take and return lists of bytes, each as a text of one character.
 */

/* Directories at the top of every Linux system: a pattern that starts with one is meant as a path of the system. */
const TOP = [ 'bin', 'boot', 'dev', 'etc', 'home', 'lib', 'lib64', 'media', 'mnt', 'opt', 'overlay', 'proc', 'rom',
	'root', 'run', 'sbin', 'srv', 'sys', 'tmp', 'usr', 'var', 'www' ];

/* What the daemon takes for white space. */
const SPACE = [ ' ', '\t', '\n', '\f', '\r' ];

function bytes(text) {
	return Array.from(new TextEncoder().encode(text), function(code) {
		return String.fromCharCode(code);
	});
}

function text(list) {
	return new TextDecoder().decode(Uint8Array.from(list, function(character) {
		return character.charCodeAt(0);
	}));
}

/* Whether a character is in the set that begins at `at`, and where the pattern continues; null if the set is not closed. */
function set(pattern, at, character) {
	const isNegated = pattern[at] === '!' || pattern[at] === '^';
	const first = isNegated ? at + 1 : at;
	let next = first;
	let isFound = false;

	/* A bracket that comes first belongs to the set. */
	while (next < pattern.length && (pattern[next] !== ']' || next === first)) {
		if (pattern[next] === '\\')
			next++;

		const low = pattern[next++];
		let high = low;

		if (pattern[next] === '-' && next + 1 < pattern.length && pattern[next + 1] !== ']') {
			next += pattern[next + 1] === '\\' ? 2 : 1;
			high = pattern[next++];
		}

		if (high === undefined)
			return null;

		isFound = isFound || (character >= low && character <= high);
	}

	return next < pattern.length ? { isIn: isFound !== isNegated, next: next + 1 } : null;
}

/* Where the pattern continues if its element at `at` matches this character; -1 if it does not. */
function step(pattern, at, character) {
	if (pattern[at] === '?')
		return at + 1;

	if (pattern[at] === '\\' && at + 1 < pattern.length)
		return pattern[at + 1] === character ? at + 2 : -1;

	const found = pattern[at] === '[' ? set(pattern, at + 1, character) : null;

	if (found)
		return found.isIn ? found.next : -1;

	return pattern[at] === character ? at + 1 : -1;
}

function matches(pattern, path) {
	let at = 0;
	let next = 0;
	let star = -1;
	let mark = 0;

	while (next < path.length) {
		if (pattern[at] === '*') {
			star = ++at;
			mark = next;
			continue;
		}

		const after = at < pattern.length ? step(pattern, at, path[next]) : -1;

		if (after >= 0) {
			at = after;
			next++;
		}
		else if (star >= 0) {
			at = star;
			next = ++mark;
		}
		else {
			return false;
		}
	}

	while (pattern[at] === '*')
		at++;

	return at >= pattern.length;
}

function trim(pattern) {
	let start = 0;
	let end = pattern.length;

	while (pattern[start] === '/')
		start++;

	while (end > start + 1 && pattern[end - 1] === '/' && pattern[end - 2] !== '\\')
		end--;

	return pattern.slice(start, end);
}

function isSpace(character) {
	return SPACE.indexOf(character) >= 0;
}

/* Without white space at the ends. */
function strip(list) {
	let start = 0;
	let end = list.length;

	while (start < end && isSpace(list[start]))
		start++;

	while (end > start && isSpace(list[end - 1]))
		end--;

	return list.slice(start, end);
}

/* The parts of a list between these characters. */
function split(list, separator) {
	const parts = [ [] ];

	list.forEach(function(character) {
		if (character === separator)
			parts.push([]);
		else
			parts[parts.length - 1].push(character);
	});

	return parts;
}

/* Where the set that begins at `at` ends, and whether a range in it is empty; null, if the set never ends. */
function ending(pattern, at) {
	const found = set(pattern, at, '\u0000');
	let isEmpty = false;

	if (!found)
		return null;

	for (let next = at; next + 2 < found.next; next++)
		isEmpty = isEmpty || (pattern[next + 1] === '-' && pattern[next + 2] !== ']' && pattern[next] > pattern[next + 2]
			&& [ '\\', '!', '^' ].indexOf(pattern[next]) < 0);

	return { next: found.next, isEmpty: isEmpty };
}

/* A pattern without the components that no path has. */
function tidy(pattern) {
	const kept = [];
	let from = 0;

	for (let at = 0; at <= pattern.length; at++) {
		if (pattern[at] === '\\' && at + 1 < pattern.length) {
			at++;
		}
		else if (pattern[at] === '[') {
			/* A slash in a set does not separate components. */
			const end = ending(pattern, at + 1);

			at = end ? end.next - 1 : at;
		}
		else if (pattern[at] === '/' || at === pattern.length) {
			const component = pattern.slice(from, at).join('');

			if (component === '..')
				kept.pop();
			else if (component !== '' && component !== '.')
				kept.push(component);

			from = at + 1;
		}
	}

	return Array.from(kept.join('/'));
}

/* What is wrong for certain, and the patterns that were meant. */
function wrong(sentence, meant) {
	return { isWrong: true, meant: (meant || []).map(text), sentence: sentence };
}

function odd(sentence, meant) {
	return { isWrong: false, meant: (meant || []).map(text), sentence: sentence };
}

/* Checks the inside of a pattern, from its start; `seen` gets whether it has a comma. */
function inside(pattern, seen) {
	let open = -1;
	let hasComma = false;

	for (let at = 0; at < pattern.length; at++) {
		if (pattern[at] === '\\') {
			at++;
		}
		else if (pattern[at] === '[') {
			const end = ending(pattern, at + 1);

			if (!end)
				return wrong(_('The pattern has a “[” that is not closed: write “]” after it, or “\\[” for the character itself.'));

			if (end.isEmpty)
				return wrong(_('The pattern has a range that ends before it begins, as “[z-a]”: nothing is in it.'));

			at = end.next - 1;
		}
		else if (pattern[at] === '{') {
			open = at;
			hasComma = false;
		}
		else if (pattern[at] === '}' && open >= 0 && hasComma) {
			return wrong(_('The pattern has braces, which are not expanded: write these patterns one by one: %s. (“\\{” is the character itself.)'),
				split(pattern.slice(open + 1, at), ',').map(function(part) {
					return pattern.slice(0, open).concat(strip(part), pattern.slice(at + 1));
				}));
		}
		else if (pattern[at] === ',') {
			hasComma = open >= 0;
			seen.comma = true;
		}
		else if (pattern[at] === '#' && at > 0 && isSpace(pattern[at - 1])) {
			const meant = pattern.slice(0, at);

			while (isSpace(meant[meant.length - 1]))
				meant.pop();

			return wrong(_('The pattern has a comment in it: write %s.'), [ meant ]);
		}
	}

	return null;
}

function judge(pattern) {
	const seen = {};
	const last = pattern[pattern.length - 1];

	if (pattern.length >= 2 && (last === '"' || last === '\'') && pattern[0] === last)
		return wrong(_('The pattern has quotes, which would belong to the name: write %s.'), [ pattern.slice(1, -1) ]);

	const bare = trim(pattern);
	const meant = tidy(bare);

	if (bare.join('') !== meant.join(''))
		return wrong(_('The pattern can never match, because no path has “.”, “..” or nothing between slashes: write %s.'),
			[ meant ]);

	const found = inside(pattern, seen);

	if (found)
		return found;

	if (seen.comma)
		return odd(_('The pattern has a comma, which belongs to the name: if several are meant, write these one by one: %s.'),
			split(pattern, ',').map(strip));

	if (pattern[0] === '!')
		return odd(_('The pattern begins with “!”, which belongs to the name: to leave out %s, write it under Except.'),
			[ pattern.slice(1) ]);

	if (pattern[0] === '~' && pattern[1] === '/')
		return odd(_('The pattern begins with “~”, which is not expanded: patterns are relative to the directory of the share.'));

	if (strip(pattern).length < pattern.length)
		return odd(_('The pattern has white space at an end, which belongs to the name: if not, write %s.'), [ strip(pattern) ]);

	return null;
}

function quoted(texts) {
	return texts.map(function(one) {
		return _('“%s”').format(one);
	}).join(', ');
}

return baseclass.extend({
	/* Whether a pattern matches a path, or a directory above it. */
	covers: function(pattern, path) {
		const bare = trim(bytes(pattern));
		const whole = bytes(path);

		if (matches(bare, whole))
			return true;

		return whole.some(function(character, at) {
			return character === '/' && matches(bare, whole.slice(0, at));
		});
	},

	/*
	 * What is wrong with a pattern by its form, if something is: the `sentence`, the patterns that were `meant`, and
	 * whether it `isWrong` for certain, so that the daemon refuses it.
	 */
	doubt: function(pattern) {
		const found = judge(bytes(pattern));

		if (found && found.meant.length)
			found.sentence = found.sentence.format(quoted(found.meant));

		return found;
	},

	/*
	 * What an absolute path means as a pattern of a share with this directory: `meant` is the pattern that the daemon
	 * takes it as, or null where the path is not in the share. Null, if the pattern is no absolute path.
	 */
	absolute: function(pattern, dir) {
		if (pattern[0] !== '/' || dir === '' || dir === '/')
			return null;

		const bare = text(trim(bytes(pattern)));
		const root = text(trim(bytes(dir)));

		if (bare === root)
			return { meant: '*' };

		if (bare.indexOf(root + '/') === 0)
			return { meant: text(trim(bytes(bare.slice(root.length + 1)))) || '*' };

		const parts = bare.split('/');

		return parts.length > 1 && TOP.indexOf(parts[0]) >= 0 ? { meant: null } : null;
	},

	/* Whether a share with these patterns holds a path. */
	holds: function(includes, excludes, path) {
		const self = this;
		const covered = function(pattern) {
			return self.covers(pattern, path);
		};

		return !excludes.some(covered) && includes.some(covered);
	}
});
