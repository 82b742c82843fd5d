// Who wins: flag > SEEKFS_* environment > file > default. Finds the file, reads the three sources, refuses what is
// not in the table of settings. Knows no meaning beyond types; load.ts turns the outcome into the configuration.
import { dirname, join, resolve } from 'node:path';
import { SeekfsError } from '../base/errors.ts';
import { nearestOf } from '../base/nearest.ts';
import type { ResolvedSetting } from './config.ts';
import type { Machine } from './machine.ts';
import { SETTINGS, SETTING_KEYS, settingKeyOf, TABLE_NAMES, type SettingKey } from './schema.ts';
import { parseTomlSettings, type TomlSetting } from './toml.ts';
import { parseTextValue, parseTomlValue, type Parsed } from './values.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface FlagValue {
  /** As the user wrote it, for messages: "--store". */
  readonly flag: string;
  readonly text: string;
}

export interface ConfigSources extends Pick<Machine, 'workingDirectory' | 'homeDirectory' | 'readFile'> {
  /** The value of `--config`. */
  readonly configFile?: string | undefined;
  readonly flags: ReadonlyMap<SettingKey, FlagValue>;
  readonly env: Environment;
}

export interface Resolution {
  readonly settings: Map<SettingKey, ResolvedSetting>;
  readonly warnings: string[];
}

/** Variables with our prefix that are no settings: the file's name, the token of `--via`, what workers are told, shell completion's. */
const OTHER_VARIABLES = /^SEEKFS_(CONFIG$|TOKEN$|WORKER_PORT$|AC_)/;

/** @throws config_invalid, file_not_found (a file that was named explicitly) */
export function resolveSettings(sources: ConfigSources): Resolution {
  const settings = new Map<SettingKey, ResolvedSetting>();
  const warnings: string[] = [];
  const found = findFile(sources);
  if (found) {
    const baseDirectory = dirname(resolve(sources.workingDirectory, found.path));
    for (const setting of parseTomlSettings(found.text, found.path)) {
      const key = keyOf(setting, found.path);
      if (key === undefined) continue;
      const origin = at(found.path, setting.line);
      const earlier = settings.get(key);
      if (earlier) throw invalid(`${origin}: ${setting.name} sets ${key} again, after ${earlier.origin}`, setting.name);
      const parsed = parseTomlValue(SETTINGS[key], setting.value);
      settings.set(key, { value: valueOf(parsed, setting.name, origin), origin, baseDirectory });
    }
  }
  const baseDirectory = sources.workingDirectory;
  for (const key of SETTING_KEYS) {
    const variable = SETTINGS[key].env;
    const text = sources.env[variable];
    if (text === undefined || text === '') continue;
    const value = valueOf(parseTextValue(SETTINGS[key], text), variable, 'environment');
    settings.set(key, { value, origin: variable, baseDirectory });
  }
  warnings.push(...strangers(sources.env));
  for (const [key, { flag, text }] of sources.flags) {
    const parsed = parseTextValue(SETTINGS[key], text);
    if ('problem' in parsed) throw new SeekfsError('usage', `${flag} ${parsed.problem}`, { details: { flag } });
    settings.set(key, { value: parsed.value, origin: flag, baseDirectory });
  }
  return { settings, warnings };
}

function findFile(sources: ConfigSources): { path: string; text: string } | undefined {
  const { env, homeDirectory, readFile } = sources;
  const named = sources.configFile ?? (env['SEEKFS_CONFIG'] || undefined);
  if (named !== undefined) {
    const text = readFile(named);
    if (text !== undefined) return { path: named, text };
    const who = sources.configFile === undefined ? 'SEEKFS_CONFIG' : '--config';
    throw new SeekfsError('file_not_found', `the configuration file ${named}, named by ${who}, does not exist`, {
      details: { file: named },
    });
  }
  for (const path of [
    'seekfs.toml',
    join(env['XDG_CONFIG_HOME'] || join(homeDirectory, '.config'), 'seekfs/seekfs.toml'),
  ]) {
    const text = readFile(path);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}

/** Undefined for a table of the file that is empty, which is no mistake. */
function keyOf(setting: TomlSetting, file: string): SettingKey | undefined {
  const key = settingKeyOf(setting.name);
  if (key !== undefined) return key;
  const isTable = TABLE_NAMES.has(setting.name);
  if (isTable && typeof setting.value === 'object' && !Array.isArray(setting.value)) return undefined;
  const near = isTable ? undefined : nearestName(setting.name);
  const advice = isTable
    ? `write it as a table, [${setting.name}]`
    : near
      ? `did you mean ${near}?`
      : 'see docs/configuration.md';
  throw invalid(
    `${at(file, setting.line)}: ${isTable ? `${setting.name} is a table` : `unknown key ${setting.name}`}; ${advice}`,
    setting.name,
  );
}

function strangers(env: Environment): string[] {
  const known = new Set<string>(SETTING_KEYS.map((key) => SETTINGS[key].env));
  return Object.keys(env)
    .filter((name) => name.startsWith('SEEKFS_') && !known.has(name) && !OTHER_VARIABLES.test(name))
    .map((name) => `the environment variable ${name} is no setting and was ignored; see docs/configuration.md`);
}

function valueOf(parsed: Parsed, name: string, origin: string): string | number | boolean {
  if ('value' in parsed) return parsed.value;
  throw invalid(`${origin}: ${name} ${parsed.problem}`, name);
}

function invalid(message: string, key: string): SeekfsError {
  return new SeekfsError('config_invalid', message, { details: { key } });
}

function at(file: string, line: number | undefined): string {
  return line === undefined ? file : `${file}:${line}`;
}

/** The key whose last part is the same, or differs in at most two letters. */
function nearestName(name: string): string | undefined {
  const lastOf = (dotted: string): string => dotted.slice(dotted.lastIndexOf('.') + 1);
  const near = nearestOf(lastOf(name), SETTING_KEYS.map(lastOf));
  return SETTING_KEYS.find((key) => lastOf(key) === near);
}
