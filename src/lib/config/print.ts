// The configuration as a seekfs.toml with the origin of each value, for `serve --print-config`. Secrets are hidden.
import type { ResolvedSettings } from './config.ts';
import { SETTINGS, SETTING_KEYS, type SettingRow } from './schema.ts';

/** TOML that loads again, but for the secrets: what nobody set stands in comments. */
export function printConfig(settings: ResolvedSettings): string {
  const lines: string[] = [];
  let table = '';
  for (const key of SETTING_KEYS) {
    const row: SettingRow = SETTINGS[key];
    const dot = key.lastIndexOf('.');
    const ownTable = key.slice(0, Math.max(0, dot));
    if (ownTable !== table) lines.push('', `[${(table = ownTable)}]`);
    const name = key.slice(dot + 1);
    const setting = settings.get(key);
    if (setting) lines.push(`${name} = ${shown(row, setting.value)} # ${setting.origin}`);
    else if (row.default !== undefined) lines.push(`${name} = ${shown(row, row.default)} # default`);
    else lines.push(`# ${name}: default, ${row.defaultText}`);
  }
  return `${lines.join('\n')}\n`;
}

function shown(row: SettingRow, value: string | number | boolean): string {
  if (row.kind === 'text' && row.secret) return '"********"';
  if (row.kind === 'size') return String((value as number) / row.unitBytes);
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
