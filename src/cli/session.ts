// One command's run against the library: the configuration from flags and machine, the library opened on first use,
// logging, progress, answers and counters. Commands see this and the library, never the process.
import { ERROR_TABLE, SeekfsError, type ErrorCode } from '../lib/base/errors.ts';
import { isShown, OnceLogger, type Logger, type LogLevel } from '../lib/base/log.ts';
import type { SegmentStore } from '../lib/cache/segment-store.ts';
import type { Config } from '../lib/config/config.ts';
import type { PinnedVersion, VersionSelector } from '../lib/manifest/types.ts';
import type { Seekfs } from '../lib/open.ts';
import type { GlobalValues } from './values.ts';
import { interruption } from './interrupt.ts';
import { writeText } from './output.ts';
import type { Progress } from './progress.ts';
import { oneLine } from './report.ts';
import { stdout } from './stdout.ts';

export interface Session {
  readonly config: Config;
  readonly seekfs: Seekfs;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** A bar where one is wanted; stopped when the command ends. */
  readonly progress: Progress;
  readonly isJson: boolean;
  /** The version asked for, else the one that `--at` names, else the current one; open until the command ends. */
  readonly pin: (ns: string, selector?: VersionSelector) => Promise<PinnedVersion>;
  /** The cache on disk, for what makes no sense without one. @throws usage where there is none */
  readonly segmentStore: () => Promise<SegmentStore>;
  /** Text for people, on stderr; nothing with `--json`. */
  readonly say: (text: string) => void;
  /** Lines that are the answer itself (paths, a URL, a version), on stdout; nothing with `--json`. */
  readonly print: (text: string) => Promise<void>;
  /** The JSON document of `--json`, on stdout. */
  readonly document: (value: unknown) => Promise<void>;
  /** Closes the versions that were pinned, then the library. */
  close(): Promise<void>;
  /** The exit status of a command that did its work and has bad news. */
  readonly setStatus: (code: ErrorCode) => void;
}

const LEVEL_WORDS: Readonly<Record<LogLevel, string>> = {
  error: 'error',
  warn: 'warning',
  info: 'info',
  debug: 'debug',
};

const noProgress: Progress = { update: () => undefined, stop: () => undefined };

function stderrLogger(level: LogLevel): Logger {
  return new OnceLogger({
    log: (messageLevel, message, fields) => {
      if (!isShown(level, messageLevel)) return;
      const rest = Object.entries(fields ?? {}).map(([name, value]) => ` ${name}=${value}`);
      process.stderr.write(`${LEVEL_WORDS[messageLevel]}: ${oneLine(message + rest.join(''))}\n`);
    },
  });
}

export async function openSession(config: Config, flags: GlobalValues): Promise<Session> {
  const log = stderrLogger(config.logLevel);
  for (const warning of config.warnings) log.log('warn', warning);
  const seekfs = await openLibrary(config, flags, log);
  const { signal } = interruption;
  const isJson = flags.json === true;
  const opened: PinnedVersion[] = [];
  return {
    config,
    seekfs,
    signal,
    log,
    progress: await progressFor(flags, seekfs),
    isJson,
    pin: async (ns, selector = flags.at ?? { kind: 'head' }) => {
      const version = await seekfs.pin(ns, selector, { signal });
      opened.push(version);
      return version;
    },
    segmentStore: async () => {
      const segmentStore = await seekfs.segmentStore();
      if (segmentStore) return segmentStore;
      const why = config.cache.backend === 'mem' ? 'cache.l2.backend is "mem"' : `${config.cache.path} cannot be made`;
      throw new SeekfsError('usage', `${why}: there is no cache on disk`);
    },
    close: async () => {
      for (const version of opened) await version.close();
      await seekfs.close();
    },
    say: (text) => {
      if (!isJson) process.stderr.write(`${text}\n`);
    },
    print: async (text) => {
      if (!isJson) await writeText(stdout(), text);
    },
    document: async (value) => {
      if (isJson) await writeText(stdout(), `${JSON.stringify(value)}\n`);
    },
    setStatus: (code) => {
      process.exitCode = ERROR_TABLE[code].exitStatus;
    },
  };
}

async function openLibrary(config: Config, { via: url }: GlobalValues, log: Logger): Promise<Seekfs> {
  if (url === undefined) return (await import('../lib/open.ts')).openSeekfs(config, { log });
  const { openVia } = await import('../lib/via.ts');
  return openVia({ url, token: process.env['SEEKFS_TOKEN'], config, log });
}

/** A bar is drawn over itself, which a dumb terminal cannot show. */
function isDrawable(): boolean {
  return process.stderr.isTTY && process.env['TERM'] !== 'dumb';
}

async function progressFor(flags: GlobalValues, seekfs: Seekfs): Promise<Progress> {
  if (!(flags.progress ?? (isDrawable() && !flags.json))) return noProgress;
  const { progressBar } = await import('./progress.ts');
  return progressBar(seekfs.metrics);
}
