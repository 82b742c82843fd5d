// The table of settings and docs/configuration.md say the same.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SETTINGS, SETTING_KEYS, type SettingRow } from '../../../src/lib/config/schema.ts';

const document = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

/** Rows of the table of keys: key, environment variable, default, meaning. */
const rows = [...document.matchAll(/^\| `([a-z0-9_.]+)` +\| `(SEEKFS_[A-Z0-9_]+)` +\| (.+?) +\| (.+?) +\|$/gm)];

function defaultOf(row: SettingRow): string {
  if (row.default === undefined) return row.defaultText ?? 'none';
  return `\`${row.kind === 'size' ? row.default / row.unitBytes : row.default}\``;
}

test('the documentation lists exactly the keys, with their variables, defaults and meaning', () => {
  const documented = rows.map(([, key, env, text, doc]) => ({ key, env, text, doc }));
  const expected = SETTING_KEYS.map((key) => {
    const row: SettingRow = SETTINGS[key];
    const aliases = (row.aliases ?? []).map((alias) => `; alias \`${alias}\``).join('');
    const choices =
      row.kind === 'choice'
        ? `; ${[...row.choices, ...Object.keys(row.choiceAliases ?? {})].map((c) => `\`${c}\``).join(', ')}`
        : '';
    return { key, env: row.env, text: defaultOf(row), doc: row.doc + aliases + choices };
  });
  expect(documented).toEqual(expected);
});

test('no two settings share a variable or a name', () => {
  const names = SETTING_KEYS.flatMap((key) => [
    SETTINGS[key].env,
    key,
    ...((SETTINGS[key] as SettingRow).aliases ?? []),
  ]);
  expect(new Set(names).size).toBe(names.length);
});
