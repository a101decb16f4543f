'use strict';
// What a browser reaches of a router: the pages that LuCI would make of the app's menu, their scripts, and /ubus.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { APP } = require('./router/router');

const RUNTIME = path.join(__dirname, 'runtime');
const RESOURCES = path.join(APP, 'htdocs/luci-static/resources');
const MENU = path.join(APP, 'root/usr/share/luci/menu.d');
const INCLUDES = path.join(RESOURCES, 'view/status/include');

// The nodes of the app's menu, by path.
function menu() {
	const files = fs.existsSync(MENU) ? fs.readdirSync(MENU) : [];
	return Object.assign({}, ...files.map((name) => JSON.parse(fs.readFileSync(path.join(MENU, name), 'utf8'))));
}

// The node that a path leads to: a node of type firstchild leads to the first of its children.
function node(at) {
	const nodes = menu();
	const found = nodes[at];
	if (found?.action?.type != 'firstchild')
		return found && { ...found, at };
	const [first] = Object.entries(nodes).filter(([name]) => name.startsWith(`${at}/`)).sort(([, a], [, b]) => a.order - b.order);
	return first && { ...first[1], at: first[0] };
}

const text = (value) => String(value).replace(/[<>&"]/g, (one) => `&#${one.charCodeAt(0)};`);

class Server {
	// `transform` is applied to the app's scripts before they are sent.
	static async start(router, transform = (script) => script) {
		const server = new Server(router, transform);
		await new Promise((resolve) => server.http.listen(0, '127.0.0.1', resolve));
		return server;
	}

	constructor(router, transform) {
		this.router = router;
		this.transform = transform;
		this.http = http.createServer((request, answer) => this.serve(request, answer).catch((error) => {
			answer.writeHead(500);
			answer.end(error.stack);
		}));
		this.http.keepAliveTimeout = 1000;
	}

	end() {
		this.http.closeAllConnections();
		this.http.close();
	}

	get address() {
		return `http://127.0.0.1:${this.http.address().port}`;
	}

	// The address of a page for a session.
	url(page, session, query = '') {
		return `${this.address}/cgi-bin/luci/${page}?session=${session}${query}`;
	}

	async serve(request, answer) {
		const url = new URL(request.url, this.address);
		const send = (kind, body, code = 200) => {
			answer.writeHead(code, { 'Content-Type': `${kind}; charset=utf-8`, 'Cache-Control': 'no-store' });
			answer.end(body);
		};
		if (url.pathname.startsWith('/ubus')) {
			let body = '';
			for await (const part of request)
				body += part;
			// As when uhttpd is busy, or the router gone.
			if (this.down)
				return answer.destroy();
			return send('application/json', JSON.stringify(await this.router.rpcd.answer(body)));
		}
		if (url.pathname == '/theme.css')
			return send('text/css', fs.readFileSync(path.join(__dirname, 'theme.css')));
		if (url.pathname.startsWith('/luci-static/resources/'))
			return this.script(url.pathname.slice('/luci-static/resources/'.length), send);
		if (url.pathname.startsWith('/cgi-bin/luci/'))
			return this.page(url.pathname.slice('/cgi-bin/luci/'.length), url.searchParams, send);
		return send('text/plain', 'not found', 404);
	}

	script(name, send) {
		const runtime = path.join(RUNTIME, name);
		if (!name.includes('/') && fs.existsSync(runtime))
			return send('text/javascript', fs.readFileSync(runtime));
		const file = path.join(RESOURCES, name);
		if (name.includes('..') || !fs.existsSync(file))
			return send('text/plain', 'not found', 404);
		const source = fs.readFileSync(file, 'utf8');
		return name.endsWith('.js') ? send('text/javascript', this.transform(source)) : send(name.endsWith('.css') ? 'text/css' : 'image/svg+xml', source);
	}

	page(at, query, send) {
		const session = query.get('session');
		const { rights } = this.router.rpcd.sessions.get(session) ?? {};
		if (!rights)
			return send('text/plain', 'log in first', 403);
		const card = at == 'admin/status/overview';
		const found = card ? {} : node(at);
		if (!found)
			return send('text/plain', `the menu has no ${at}`, 404);
		const pollspeed = Number(query.get('pollspeed') ?? 1);
		const env = {
			sessionid: session, token: 'token', scriptname: '/cgi-bin/luci', resource: '/luci-static/resources', media: '/luci-static/bootstrap',
			ubuspath: '/ubus/', documentroot: '/www', pollinterval: 5, rpctimeout: 20, apply_rollback: 90, apply_holdoff: 0,
			requestpath: at.split('/'), dispatchpath: at.split('/'), nodespec: { readonly: !rights.parts.includes('write') },
			view: card ? undefined : found.action.path, pollspeed, apply_display: 1.5 * pollspeed,
			includes: card && fs.existsSync(INCLUDES) ? fs.readdirSync(INCLUDES).map((name) => name.replace(/\.js$/, '')) : undefined,
		};
		const top = found.at?.split('/').slice(0, 3).join('/');
		const tabs = Object.entries(menu()).filter(([name]) => top && name.startsWith(`${top}/`)).sort(([, a], [, b]) => a.order - b.order)
			.map(([name, { title }]) => `<li class="tabmenu-item${name == found.at ? ' active' : ''}"><a href="/cgi-bin/luci/${name}?${text(query)}">${text(title)}</a></li>`);
		const names = fs.readFileSync(path.join(__dirname, 'luci-api.txt'), 'utf8');
		const json = (value) => JSON.stringify(value).replaceAll('<', '\\u003c');
		send('text/html', `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${text(this.router.name)} - ${text(found.title ?? 'Overview')} - LuCI</title>
<meta name="viewport" content="initial-scale=1.0">
<link rel="stylesheet" href="/theme.css">
<link rel="icon" href="data:,">
<script>
document.documentElement.dataset.darkmode = window.matchMedia('(prefers-color-scheme: dark)').matches;
window.env = ${json(env)};
window.luciNames = ${json(names)};
</script>
<script src="/luci-static/resources/words.js"></script>
<script src="/luci-static/resources/strict.js"></script>
</head>
<body data-page="${text(at.replaceAll('/', '-'))}">
<header><div class="container"><span class="brand">${text(this.router.name)}</span>
<ul class="nav" id="topmenu"><li><a href="/cgi-bin/luci/admin/status/overview?${text(query)}">Status</a></li><li><a href="/cgi-bin/luci/${text(top ?? 'admin/services/owsync')}?${text(query)}">Services</a></li></ul>
<div id="indicators"></div></div></header>
<div id="maincontent" class="container">
${tabs.length ? `<div id="tabmenu"><ul class="tabs">${tabs.join('')}</ul></div>` : ''}
<div id="view"><div class="spinning">Loading view…</div></div>
</div>
<footer class="container">Stand-in for LuCI's runtime</footer>
<script src="/luci-static/resources/luci.js"></script>
<script src="/luci-static/resources/includes.js"></script>
</body>
</html>
`);
	}
}

module.exports = { Server, menu };
