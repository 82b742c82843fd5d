// Values of flags and arguments, without oclif: what `cat` and `readv` parse for themselves where start-up counts.
import { SeekfsError } from '../lib/base/errors.ts';
import { API_SETTINGS } from '../lib/config/api-settings.ts';
import type { SettingKey } from '../lib/config/schema.ts';
import type { VersionSelector } from '../lib/manifest/types.ts';

export function parseCount(text: string, min: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(count) && count >= min) return count;
  throw new SeekfsError('usage', `"${text}" is not a whole number from ${min}`);
}

/**
 * "3", "v3", "v-3", each with "@sha256:<64 hex>" behind it or not; "head".
 * @throws usage
 */
export function parseVersion(text: string): VersionSelector {
  if (text === 'head' || text === 'HEAD') return { kind: 'head' };
  const match = /^(?:v-?)?(\d+)(?:@(sha256:[0-9a-f]{64}))?$/.exec(text);
  const version = Number(match?.[1]);
  if (!match || !Number.isSafeInteger(version) || version < 1) {
    throw new SeekfsError('usage', `"${text}" is not a version; write 3, v3, v-3, 3@sha256:<64 hex digits> or head`);
  }
  return { kind: 'version', version, digest: match[2] };
}

/** A version as a positional argument, which cannot be `head`. */
export function parseVersionNumber(text: string): number {
  const selector = parseVersion(text);
  if (selector.kind === 'version' && selector.digest === undefined) return selector.version;
  throw new SeekfsError('usage', `"${text}" is not a version number; write 3, v3 or v-3`);
}

/** Values of GLOBAL_FLAGS, and of the flags that commands share and that stand for a setting. */
export interface GlobalValues {
  readonly config?: string | undefined;
  readonly store?: string | undefined;
  readonly cache?: string | undefined;
  readonly via?: string | undefined;
  readonly at?: VersionSelector | undefined;
  readonly 'log-level'?: string | undefined;
  readonly progress?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly stats?: boolean | undefined;
  readonly listen?: string | undefined;
  readonly 'require-checksums'?: boolean | undefined;
  readonly 'unsafe-publish'?: boolean | undefined;
}

/** Flags of `serve` for the settings of [api]: `--max-body-mib` is `api.max_body_mib`. */
export const API_FLAGS = Object.fromEntries(
  (Object.keys(API_SETTINGS) as (keyof typeof API_SETTINGS)[]).map((key) => [key.slice(4).replaceAll('_', '-'), key]),
);

/** Flags that are settings by another name; whichever of them a command has is laid over the configuration. */
export const SETTING_FLAGS: Readonly<Record<string, SettingKey>> = {
  store: 'store.url',
  cache: 'cache.l2.segment_path',
  'log-level': 'log_level',
  'require-checksums': 'read.require_checksums',
  'unsafe-publish': 'store.unsafe_publish',
  ...API_FLAGS,
};
