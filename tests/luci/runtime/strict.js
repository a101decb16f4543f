'use strict';
// What LuCI's runtime does not offer is an error: every object of the stand-in ends in one that knows the names, and reports
// any other. `names` are the methods that luci-api.txt lists by file; the rest are classes and properties.
(function() {
	// Classes, and properties that views read or set, by the file that has them.
	const PROPERTIES = {
		luci: 'env Class Poll Request dom view ui uci rpc form fs poll validation network session headers ok status statusText duration ' +
			'handleSave handleSaveApply handleReset naturalCompare hasUCIFields hasViewPermission bind isObject toArray sortedKeys ' +
			'Promise debug Response DOM View tabs displayName super varargs',
		form: 'AbstractElement AbstractSection AbstractValue Map JSONMap TypedSection TableSection GridSection NamedSection Value ' +
			'DynamicList ListValue RichListValue Flag MultiValue TextValue DummyValue Button HiddenValue FileUpload SectionValue ' +
			// of maps
			'title description children config data readonly parsechain root tabbed ' +
			// of sections
			'map section parentoption sectiontype addremove anonymous hidetitle optional dynamic max_cols rowcolors sortable ' +
			'nodescriptions modaltitle extedit addbtntitle cloneable addActiveMap modal tabs tab_names uciconfig ucisection ' +
			'sectiontitle removebtntitle titleref titledesc filterrow actionstitle maxsections selected_tab addedSection ' +
			// of options
			'option default rmempty placeholder datatype password value retain depends editable modalonly write_once value_list keylist ' +
			'vallist enabled disabled tooltip tooltipicon width cols rows wrap monospace size widget orientation inputtitle inputstyle ' +
			'onclick rawhtml href ucioption forcewrite onchange create multiple display_size dropdown_size custom_placeholder ' +
			'cbid_prefix deps transformed subsection sectionvalue tab hidden allowduplicates select_placeholder class',
		ui: 'AbstractElement Table Textfield Textarea Checkbox Select Dropdown Combobox ComboButton DynamicList Hiddenfield FileUpload ' +
			'tabs changes menu node options value choices values ',
		rpc: '',
		uci: 'state loaded callLoad callAdd callSet callDelete callOrder callApply callConfirm ',
		fs: '',
		validation: 'types value optional vfunc ',
		network: '',
	};
	// What the language itself looks for.
	const LANGUAGE = new Set(['then', 'toJSON', 'constructor', 'toString', 'valueOf', 'nodeType', 'asymmetricMatch', 'length',
		'hasOwnProperty', '__init__', '__name__', '__proto__', 'isPrototypeOf', 'propertyIsEnumerable', 'toLocaleString',
		'__base__', '__class__']);

	const files = {};
	let section;
	for (const line of window.luciNames.split('\n')) {
		const head = line.match(/^\[(\w+)\.js\]/);
		if (head)
			section = files[head[1]] = new Set();
		else if (section)
			for (const name of line.split(/\s+/).filter(Boolean))
				section.add(name);
	}
	const known = {};
	for (const [file, names] of Object.entries(files))
		known[file] = new Set([...names, ...(PROPERTIES[file] ?? '').split(/\s+/).filter(Boolean)]);

	// What was asked for that is not there; the driver fails the test when anything is in it.
	window.violations = [];

	function complain(text) {
		window.violations.push(`${text}\n${new Error().stack.split('\n').slice(3, 7).join('\n')}`);
		throw new ReferenceError(text);
	}

	// What the app keeps on LuCI's objects for itself bears its name.
	const isOwn = (name) => name.startsWith('$') || name.startsWith('owsync');

	const FILE = Symbol('file'), APP = Symbol('app');

	// The last link of every chain of prototypes.
	const end = new Proxy(Object.create(null), {
		get(target, name, receiver) {
			if (typeof name == 'symbol' || isOwn(name) || LANGUAGE.has(name))
				return Object.prototype[name];
			if (receiver[APP] || !receiver[FILE] || known[receiver[FILE]].has(name))
				return undefined;
			return complain(`LuCI's ${receiver[FILE]}.js offers no ${name}`);
		},
		set(target, name, value, receiver) {
			if (typeof name == 'string' && !isOwn(name) && !LANGUAGE.has(name) && !receiver[APP] && receiver[FILE] &&
			    !known[receiver[FILE]].has(name))
				complain(`LuCI's ${receiver[FILE]}.js heeds no ${name}`);
			Object.defineProperty(receiver, name, { value, writable: true, configurable: true, enumerable: true });
			return true;
		},
	});

	window.strict = { end, known, files, FILE, APP, PROPERTIES };
})();
