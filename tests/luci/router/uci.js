'use strict';
// UCI packages as files, and what waits to be applied: as much of libuci and rpcd's `uci` as views ask for.

const fs = require('node:fs');
const path = require('node:path');

const WORD = /\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|(#.*$)|([^\s'"#]+))/y;

// The words of a line; quoted parts that touch are one word.
function words(line) {
	const found = [];
	let at = 0, touching = false;
	while (at < line.length) {
		WORD.lastIndex = at;
		const match = WORD.exec(line);
		if (!match || match[3] !== undefined)
			break;
		const word = match[1] ?? match[2]?.replace(/\\(.)/g, '$1') ?? match[4];
		if (touching && !/^\s/.test(match[0]))
			found[found.length - 1] += word;
		else
			found.push(word);
		touching = true;
		at = WORD.lastIndex;
	}
	return found;
}

// Sections in order: { '.name', '.type', '.anonymous', options... }.
function parse(text) {
	const sections = [];
	for (const line of text.split('\n')) {
		const [keyword, name, value] = words(line);
		const section = sections[sections.length - 1];
		if (keyword == 'config') {
			const number = String(sections.length + 1).padStart(2, '0');
			sections.push({ '.name': value ?? `cfg${number}${Buffer.from(name).toString('hex').slice(0, 4)}`, '.type': name,
				'.anonymous': value === undefined });
		}
		else if (keyword == 'option' && section)
			section[name] = value ?? '';
		else if (keyword == 'list' && section)
			section[name] = [...(Array.isArray(section[name]) ? section[name] : []), value ?? ''];
	}
	return sections;
}

const quoted = (value) => `'${String(value).replaceAll('\'', '\'\\\'\'')}'`;

function print(sections) {
	return sections.map((section) => {
		const head = `\nconfig ${section['.type']}${section['.anonymous'] ? '' : ` ${quoted(section['.name'])}`}\n`;
		return head + Object.entries(section).filter(([name]) => !name.startsWith('.')).map(([name, value]) =>
			Array.isArray(value) ? value.map((one) => `\tlist ${name} ${quoted(one)}\n`).join('')
				: `\toption ${name} ${quoted(value)}\n`).join('');
	}).join('') + '\n';
}

// The packages of a router, and the changes of one session that are not applied yet.
class Uci {
	constructor(directory) {
		this.directory = directory;
		this.staged = new Map();
		this.made = 0;
	}

	file(name) {
		return path.join(this.directory, name);
	}

	names() {
		return fs.readdirSync(this.directory).filter((name) => /^[\w-]+$/.test(name)).sort();
	}

	// As libuci lists them: every file there, package or not.
	files() {
		return fs.readdirSync(this.directory).filter((name) => !name.startsWith('.')).sort();
	}

	sections(name) {
		return this.staged.get(name) ?? parse(fs.readFileSync(this.file(name), 'utf8'));
	}

	// The package as it will be, to be changed.
	stage(name) {
		if (!this.staged.has(name))
			this.staged.set(name, this.sections(name));
		return this.staged.get(name);
	}

	// Writes what was staged of these packages, each file in one step, as libuci does. The names of what changed.
	apply(names = [...this.staged.keys()]) {
		const changed = [];
		for (const name of names.filter((one) => this.staged.has(one))) {
			const sections = this.staged.get(name);
			this.staged.delete(name);
			const text = print(sections);
			if (text == print(parse(fs.readFileSync(this.file(name), 'utf8'))))
				continue;
			const fresh = this.file(`.${name}.uci-A1b2C3`);
			fs.writeFileSync(fresh, text, { mode: 0o600 });
			fs.renameSync(fresh, this.file(name));
			changed.push(name);
		}
		return changed;
	}

	add(name, type, section, values) {
		const sections = this.stage(name);
		const id = section ?? `cfg${(0xa00000 + this.made++).toString(16)}`;
		sections.push({ '.name': id, '.type': type, '.anonymous': !section });
		this.set(name, id, values ?? {});
		return id;
	}

	// Whether there is such a section.
	set(name, section, values) {
		const found = this.stage(name).find((one) => one['.name'] == section);
		for (const [option, value] of Object.entries(values))
			if (found)
				found[option] = Array.isArray(value) ? value.map(String) : String(value);
		return found !== undefined;
	}

	// Options, or, where none is named, the whole section.
	remove(name, section, options) {
		const sections = this.stage(name);
		const at = sections.findIndex((one) => one['.name'] == section);
		if (at >= 0 && options)
			for (const option of options)
				delete sections[at][option];
		else if (at >= 0)
			sections.splice(at, 1);
		return at >= 0;
	}

	order(name, ids) {
		this.stage(name).sort((a, b) => ids.indexOf(a['.name']) - ids.indexOf(b['.name']));
	}
}

module.exports = { Uci, parse, print };
