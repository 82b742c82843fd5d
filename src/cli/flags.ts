// Flags that give typed values (bytes, milliseconds, versions, prices) and throw our own usage errors, and the flags
// that every command has.
import { boolean, custom, option, string } from '@oclif/core/flags';
import { SeekfsError } from '../lib/base/errors.ts';
import { parseDurationMs, parseSizeBytes } from '../lib/base/units.ts';
import { SETTINGS } from '../lib/config/schema.ts';
import type { VersionSelector } from '../lib/manifest/types.ts';
import { API_FLAGS, parseCount, parseVersion } from './values.ts';

/** Bytes, from "4096", "64KiB", "8MiB". */
export const sizeFlag = custom<number>({ helpValue: 'SIZE', parse: async (text) => parseSizeBytes(text) });

/** Milliseconds, from "30s", "12h", "7d". */
export const durationFlag = custom<number>({ helpValue: 'DURATION', parse: async (text) => parseDurationMs(text) });

/** A whole number from `min` on. */
export const countFlag = custom<number, { min: number }>({
  helpValue: 'N',
  parse: async (text, _, { min }) => parseCount(text, min),
});

/** A version of a namespace. */
const versionFlag = custom<VersionSelector>({ helpValue: 'VERSION', parse: async (text) => parseVersion(text) });

/** An amount of money, from "0.0004". */
export const priceFlag = custom<number>({
  helpValue: 'PRICE',
  parse: async (text) => {
    if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
    throw new SeekfsError('usage', `"${text}" is not a price; write a number such as 0.0004`);
  },
});

export const GLOBAL_FLAGS = {
  config: string({ helpGroup: 'GLOBAL', helpValue: 'FILE', summary: 'configuration file' }),
  store: string({ helpGroup: 'GLOBAL', helpValue: 'URL', summary: 'object store: file:///dir or s3://bucket' }),
  cache: string({ helpGroup: 'GLOBAL', helpValue: 'DIR', summary: 'directory of the local cache (L2)' }),
  via: string({
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
    summary: 'read through a running "seekfs serve"; its token, if it wants one, is in SEEKFS_TOKEN',
  }),
  at: versionFlag({
    helpGroup: 'GLOBAL',
    summary: 'version to read: 3, v-3 or 3@sha256:<hex>; default: the current one',
  }),
  'log-level': option({
    helpGroup: 'GLOBAL',
    options: SETTINGS.log_level.choices,
    summary: 'what is logged on stderr',
  })(),
  progress: boolean({
    helpGroup: 'GLOBAL',
    allowNo: true,
    summary: 'progress bars; default: where stderr is a terminal',
  }),
  json: boolean({ helpGroup: 'GLOBAL', summary: 'one JSON document on stdout instead of text for people' }),
  stats: boolean({ helpGroup: 'GLOBAL', summary: 'one JSON line of counters on stderr at the end' }),
};

/** The bounds of `serve`, each a setting of [api]. */
export const LIMIT_FLAGS = Object.fromEntries(
  Object.entries(API_FLAGS)
    .filter(([, key]) => SETTINGS[key].kind !== 'text')
    .map(([flag, key]) => [flag, string({ helpGroup: 'LIMIT', helpValue: 'N', summary: SETTINGS[key].doc })]),
);

export const pageSizeFlag = sizeFlag({
  summary: 'page size, a power of two from 64KiB to 64MiB; default: cache.page_size_mib',
});
export const requireChecksumsFlag = boolean({ summary: 'refuse files whose manifest has no checksums' });
export const unsafePublishFlag = boolean({ summary: 'publish even where the store ignores conditional writes' });
