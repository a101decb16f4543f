'use strict';
// A network with routers in it: each a set of namespaces (mounts, network, host name) in which /etc and /var are its own, so
// that the daemon runs with a router's own paths, its default port and its real name. A bridge connects them.
//
// Processes that do nothing hold the namespaces. They end when their standard input does, so nothing is left behind even
// when a test is killed. As root they are made directly, otherwise in a user namespace, where the kernel allows that.

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = process.getuid() == 0;

// A process in new namespaces, once it is in them.
function hold(words) {
	const holder = spawn(words[0], [...words.slice(1), 'sh', '-c', 'echo ready; exec cat >/dev/null'],
		{ stdio: ['pipe', 'pipe', 'pipe'] });
	return new Promise((resolve, reject) => {
		let said = '';
		holder.stderr.on('data', (text) => { said += text; });
		holder.stdout.once('data', () => resolve(holder));
		holder.once('error', reject);
		holder.once('exit', () => reject(new Error(`needs root, or namespaces for everybody: ${said.trim()}`)));
	});
}

class Land {
	static async make() {
		const user = ROOT ? [] : ['-U', '-r'];
		const land = new Land(await hold(['unshare', ...user, '-m', '-n']));
		land.run('ip', 'link', 'add', 'lan', 'type', 'bridge');
		land.run('ip', 'link', 'set', 'lan', 'up');
		land.run('ip', 'link', 'set', 'lo', 'up');
		return land;
	}

	constructor(holder) {
		this.holder = holder;
		this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'owsync-luci-'));
		this.spaces = [];
		this.count = 0;
	}

	// How to get in there.
	enter(pid = this.holder.pid, flags = ['-m', '-n']) {
		return ['nsenter', '-t', String(pid), ...(ROOT ? [] : ['-U', '--preserve-credentials']), ...flags, '--'];
	}

	run(...words) {
		return Land.run(this.enter(), words);
	}

	static run(enter, words) {
		const [program, ...rest] = [...enter, ...words];
		return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
	}

	// A router's place in it: its files lie below `root`, its address is 192.168.1.N.
	async space(name) {
		const privileged = ROOT ? [] : ['nsenter', '-t', String(this.holder.pid), '-U', '--preserve-credentials', '--'];
		const holder = await hold([...privileged, 'unshare', '-m', '-n', '-u']);
		const number = ++this.count;
		const space = new Space(this, holder, name, number);
		this.spaces.push(space);
		return space;
	}

	// Without this router from now on.
	remove(space) {
		this.spaces = this.spaces.filter((one) => one !== space);
		space.holder.stdin.end();
		space.holder.kill('SIGKILL');
	}

	end() {
		for (const { holder } of [...this.spaces, this]) {
			holder.stdin.end();
			holder.kill('SIGKILL');
		}
		if (!process.env.OWSYNC_TEST_KEEP)
			fs.rmSync(this.directory, { recursive: true, force: true });
	}
}

class Space {
	constructor(land, holder, name, number) {
		this.land = land;
		this.holder = holder;
		this.address = `192.168.1.${number}`;
		this.port = `port${number}`;
		this.root = path.join(land.directory, String(number), name);
		for (const directory of ['etc/config', 'etc/init.d', 'etc/owsync', 'var/run/ubus', 'var/lib', 'tmp'])
			fs.mkdirSync(path.join(this.root, directory), { recursive: true });
		fs.chmodSync(path.join(this.root, 'etc/owsync'), 0o700);
		for (const file of ['passwd', 'group'])
			fs.copyFileSync(`/etc/${file}`, path.join(this.root, 'etc', file));
		this.run('hostname', name);
		this.run('ip', 'link', 'set', 'lo', 'up');
		land.run('ip', 'link', 'add', this.port, 'type', 'veth', 'peer', 'name', 'br-lan', 'netns', String(holder.pid));
		land.run('ip', 'link', 'set', this.port, 'master', 'lan', 'up');
		this.run('ip', 'addr', 'add', `${this.address}/24`, 'dev', 'br-lan');
		this.run('ip', 'link', 'set', 'br-lan', 'up');
		for (const directory of ['etc', 'var'])
			this.run('mount', '--bind', path.join(this.root, directory), `/${directory}`);
	}

	enter() {
		return this.land.enter(this.holder.pid, ['-m', '-n', '-u']);
	}

	run(...words) {
		return Land.run(this.enter(), words);
	}

	// Pulls the router's cable, or puts it back.
	cable(state) {
		this.land.run('ip', 'link', 'set', this.port, state);
	}
}

module.exports = { Land };
