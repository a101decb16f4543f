'use strict';
// Status > Overview: its cards, each read and shown again at every poll.
window.showInclude = async (name) => {
	const { dom, Poll } = window.L;
	const card = await window.L.require(`view.status.include.${name}`);
	const view = document.getElementById('view');
	view.querySelector(':scope > .spinning')?.remove();
	const content = window.E('div');
	const section = window.E('div', { 'class': 'cbi-section', 'data-include': name, 'style': 'display:none' }, [
		card.title ? window.E('div', { 'class': 'cbi-title' }, [window.E('h3', {}, [card.title])]) : null, content,
	]);
	view.appendChild(section);
	Poll.add(async () => {
		const shown = card.render(await window.L.resolveDefault(card.load ? card.load() : null, null));
		if (shown === null || shown === undefined)
			return;
		section.style.display = '';
		dom.content(content, shown);
		document.body.dataset.viewed = 'yes';
	}, 5);
};
