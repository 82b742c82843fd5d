// The configuration with the origin of each value, for `serve --print-config`: as a list, and as a seekfs.toml. Secrets
// are hidden.
import type { ResolvedSettings } from './config.ts';
import { SETTINGS, SETTING_KEYS, type SettingKey, type SettingRow } from './schema.ts';

export interface ListedSetting {
  readonly key: SettingKey;
  /** In the key's unit; null where nobody set it and its default depends on the machine or on other keys. */
  readonly value: string | number | boolean | null;
  /** A flag, a variable, a file with its line, or "default". */
  readonly origin: string;
}

/** Every key there is, in the order of the table. */
export function listConfig(settings: ResolvedSettings): ListedSetting[] {
  return SETTING_KEYS.map((key) => {
    const row: SettingRow = SETTINGS[key];
    const setting = settings.get(key);
    if (setting) return { key, value: shown(row, setting.value), origin: setting.origin };
    return { key, value: row.default === undefined ? null : shown(row, row.default), origin: 'default' };
  });
}

/** TOML that loads again, but for the secrets: what nobody set stands in comments. */
export function printConfig(settings: ResolvedSettings): string {
  const lines: string[] = [];
  let table = '';
  for (const { key, value, origin } of listConfig(settings)) {
    const dot = key.lastIndexOf('.');
    const ownTable = key.slice(0, Math.max(0, dot));
    if (ownTable !== table) lines.push('', `[${(table = ownTable)}]`);
    const name = key.slice(dot + 1);
    const row: SettingRow = SETTINGS[key];
    if (value === null) lines.push(`# ${name}: default, ${row.defaultText}`);
    else lines.push(`${name} = ${JSON.stringify(value)} # ${origin}`);
  }
  return `${lines.join('\n')}\n`;
}

function shown(row: SettingRow, value: string | number | boolean): string | number | boolean {
  if (row.kind === 'text' && row.secret) return '********';
  return row.kind === 'size' ? (value as number) / row.unitBytes : value;
}
