'use strict';
'require baseclass';

/*
 * Which paths a share holds, by the rules of the daemon.
 *
 * Excludes are final, then one include must match. `*` matches anything, also `/`, `?` one character, `[a-z]` one of a
 * set and `[!a-z]` or `[^a-z]` one outside it; a backslash takes the next character as it is. A pattern that matches a
 * directory covers what is below it, and a `/` at either end says nothing.
 */

/* Whether a character is in the set that begins at `at`, and where the pattern goes on; null, if the set never ends. */
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

/* Where the pattern goes on if its element at `at` takes this character; -1, if it does not. */
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

	while (end > start && pattern[end - 1] === '/')
		end--;

	return pattern.substring(start, end);
}

return baseclass.extend({
	/* Whether a pattern matches a path, or a directory above it. */
	covers: function(pattern, path) {
		const bare = Array.from(trim(pattern));
		const whole = Array.from(path);

		if (matches(bare, whole))
			return true;

		return whole.some(function(character, at) {
			return character === '/' && matches(bare, whole.slice(0, at));
		});
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
