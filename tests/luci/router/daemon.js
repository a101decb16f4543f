'use strict';
// procd, as far as one service goes: it starts the daemon as its init script does, and tells it of a changed package.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parse } = require('./uci');

class Service {
	constructor(space, program) {
		this.space = space;
		this.program = program;
		this.enabled = true;
		this.log = '';
	}

	// The first section of type owsync counts, whatever its name.
	wanted() {
		const file = path.join(this.space.root, 'etc/config/owsync');
		const main = parse(fs.readFileSync(file, 'utf8')).find((section) => section['.type'] == 'owsync');
		return ['1', 'on', 'true', 'yes', 'enabled'].includes(main?.enabled);
	}

	get running() {
		return this.child !== undefined;
	}

	// The process number of the daemon itself: nsenter becomes it.
	get pid() {
		return this.child?.pid;
	}

	start() {
		if (this.running || !this.wanted())
			return;
		const [enter, ...words] = this.space.enter();
		const child = spawn(enter, [...words, this.program, 'daemon'], { stdio: ['ignore', 'pipe', 'pipe'] });
		for (const stream of [child.stdout, child.stderr])
			stream.on('data', (text) => { this.log += text; });
		child.ended = new Promise((resolve) => child.once('exit', resolve));
		child.once('exit', () => {
			if (this.child === child)
				this.child = undefined;
		});
		this.child = child;
	}

	async stop() {
		const { child } = this;
		if (!child)
			return;
		this.child = undefined;
		child.kill('SIGTERM');
		await child.ended;
	}

	// It was changed: a daemon that is no longer wanted ends, one that is now wanted starts, any other reads it again.
	async reload() {
		if (this.running && !this.wanted())
			await this.stop();
		else if (this.running)
			this.child.kill('SIGHUP');
		else
			this.start();
	}

	async action(name) {
		switch (name) {
		case 'enable':
		case 'disable':
			this.enabled = name == 'enable';
			return true;
		case 'restart':
			await this.stop();
			this.start();
			return true;
		case 'start':
		case 'stop':
		case 'reload':
			await this[name]();
			return true;
		default:
			return false;
		}
	}
}

module.exports = { Service };
