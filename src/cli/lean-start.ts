// A shorter way into `cat`, `readv`, `ls` and `stat`, which shells call in loops: a plain command line is parsed with Node's
// own parser, and oclif, which would take half of the time of a warm 4 KiB `cat`, is not loaded. Whatever is not plain (help, a flag
// that is not known here, a value that does not parse) goes the usual way, and so gets the usual answer.
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { parseSizeBytes } from '../lib/base/units.ts';
import { SETTINGS } from '../lib/config/schema.ts';
import { parseExtent } from './extents.ts';
import { cat, CAT_LIFETIME, readv } from './read-commands.ts';
import type { Session } from './session.ts';
import { parseVersion, type GlobalValues } from './values.ts';
import { configFrom, runSession } from './work.ts';

const OPTIONS = {
  config: { type: 'string' },
  store: { type: 'string' },
  cache: { type: 'string' },
  at: { type: 'string' },
  'log-level': { type: 'string' },
  json: { type: 'boolean' },
  stats: { type: 'boolean' },
  progress: { type: 'boolean' },
  'require-checksums': { type: 'boolean' },
  off: { type: 'string' },
  len: { type: 'string' },
  long: { type: 'boolean', short: 'l' },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

/** The options of a command that not every command has. */
const OWN_OPTIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['cat', ['require-checksums', 'off', 'len']],
  ['readv', ['require-checksums']],
  ['ls', ['long']],
  ['stat', []],
]);
const ALL_OWN_OPTIONS = new Set([...OWN_OPTIONS.values()].flat());

const LOG_LEVELS: ReadonlySet<string | undefined> = new Set([undefined, ...SETTINGS.log_level.choices]);

/** What a warm `cat` has no use for. */
const listing = () => import('./list-commands.ts');

/** The work, ready to start; undefined where oclif must look at the command line. */
export function leanCommand(argv: readonly string[]): (() => Promise<void>) | undefined {
  const [id, ...rest] = argv;
  const own = OWN_OPTIONS.get(id ?? '');
  if (!own) return undefined;
  try {
    const { values, positionals } = parseArgs({
      args: rest,
      options: OPTIONS,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    });
    if (Object.keys(values).some((name) => ALL_OWN_OPTIONS.has(name) && !own.includes(name))) return undefined;
    const { at, off, len, long = false, ...others } = values;
    if ([others.json, others.stats, others['require-checksums'], values.long].includes(false)) return undefined;
    if (!LOG_LEVELS.has(others['log-level'])) return undefined;
    const flags: GlobalValues = { ...others, at: at === undefined ? undefined : parseVersion(at) };
    const start = (work: (session: Session) => Promise<void>) => (): Promise<void> =>
      runSession(flags, () => configFrom(flags, id === 'cat' ? CAT_LIFETIME : { oneShot: true }), work);
    if (id === 'cat') {
      const [ns, path, tooMany] = positionals;
      if (ns === undefined || path === undefined || tooMany !== undefined) return undefined;
      const range = {
        off: off === undefined ? 0 : parseSizeBytes(off),
        len: len === undefined ? len : parseSizeBytes(len),
      };
      return start((session) => cat(session, { ns, path, ...range }));
    }
    if (id === 'ls' || id === 'stat') {
      const [ns, text, tooMany] = positionals;
      if (ns === undefined || tooMany !== undefined) return undefined;
      if (id === 'ls') return start(async (session) => (await listing()).ls(session, { ns, prefix: text, long }));
      if (text === undefined) return undefined;
      return start(async (session) => (await listing()).stat(session, { ns, path: text }));
    }
    const [ns, ...texts] = positionals;
    if (ns === undefined || texts.length === 0) return undefined;
    const extents = texts.map(parseExtent);
    return start((session) => readv(session, { ns, extents }));
  } catch {
    return undefined;
  }
}
