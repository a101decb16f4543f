// The linter's rules: for the app those of LuCI's repository (its eslint.config.mjs), for these tests the recommended ones.
//
//   tests/luci/node_modules/.bin/eslint --config tests/luci/eslint.config.mjs luci-app-owsync tests/luci

import js from '@eslint/js';
import json from '@eslint/json';
import globals from 'globals';

const only = (names) => Object.fromEntries(names.split(' ').map((name) => [name, 'readonly']));

// What LuCI's runtime has for every script, and its modules by the names that views give them.
const RUNTIME = only('_ N_ L E TR cbi_d cbi_strings cbi_d_add cbi_d_check cbi_d_checkvalue cbi_d_update cbi_init cbi_update_table ' +
	'cbi_validate_form cbi_validate_field cbi_validate_named_section_add cbi_validate_reset cbi_row_swap cbi_tag_last cbi_submit ' +
	'cbi_dropdown_init isElem toElem matchesElem findParent sfh renderBadge');
const MODULES = only('baseclass dom firewall fwtool form fs network nettools poll random request session rpc uci ui uqr validation view widgets');

const APP = ['**/luci-app-owsync/**/*.js'];

export default [
	{ ignores: ['**/node_modules', '**/shots', '**/package-lock.json'] },
	{
		...js.configs.recommended,
		files: APP,
		linterOptions: { reportUnusedDisableDirectives: 'off' },
		languageOptions: {
			sourceType: 'script',
			ecmaVersion: 2026,
			globals: { ...globals.browser, ...RUNTIME, ...MODULES },
			parserOptions: { ecmaFeatures: { globalReturn: true } },
		},
		rules: {
			...js.configs.recommended.rules,
			'strict': 'off',
			'no-prototype-builtins': 'off',
			'no-empty': 'off',
			'no-undef': 'warn',
			'no-unused-vars': 'off',
			'no-regex-spaces': 'off',
			'no-control-regex': 'off',
		},
	},
	{
		files: ['**/*.json'],
		plugins: { json },
		language: 'json/json',
		rules: { ...json.configs.recommended.rules, 'json/no-duplicate-keys': 'error' },
	},
	{
		...js.configs.recommended,
		files: ['tests/luci/*.js', 'tests/luci/tests/*.js', 'tests/luci/router/*.js'],
		languageOptions: { sourceType: 'commonjs', ecmaVersion: 2024, globals: { ...globals.node, ...globals.browser } },
	},
	{
		...js.configs.recommended,
		files: ['tests/luci/runtime/*.js'],
		languageOptions: {
			sourceType: 'script',
			ecmaVersion: 2024,
			globals: { ...globals.browser, ...only('_ N_ L E baseclass dom request rpc uci ui validation widgets dropdowns elements options sections') },
			parserOptions: { ecmaFeatures: { globalReturn: true } },
		},
	},
];
