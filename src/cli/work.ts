// What every command does around its work: the configuration from its flags, one session, counters at the end.
import type { Config } from '../lib/config/config.ts';
import { loadConfig, type LoadOptions } from '../lib/config/load.ts';
import type { FlagValue } from '../lib/config/resolve.ts';
import type { SettingKey } from '../lib/config/schema.ts';
import { openSession, type Session } from './session.ts';
import { pricePer1000Gets } from './price.ts';
import { statsLine } from './stats.ts';
import { SETTING_FLAGS, type GlobalValues } from './values.ts';

export type Lifetime = Pick<LoadOptions, 'oneShot' | 'readsOnce' | 'readsOneFile'>;

/** The configuration as these flags make it. */
export function configFrom(flags: GlobalValues, lifetime: Lifetime): Promise<Config> {
  const given = new Map<SettingKey, FlagValue>();
  const values = new Map<string, string | boolean | undefined>(Object.entries(flags));
  for (const [flag, key] of Object.entries(SETTING_FLAGS)) {
    const value = values.get(flag);
    if (value !== undefined) given.set(key, { flag: `--${flag}`, text: String(value) });
  }
  return loadConfig({ env: process.env, configFile: flags.config, flags: given, ...lifetime });
}

/** Opens a session, does the work in it and closes it, whatever happens; `--stats` prints its line even then. */
export async function runSession(
  flags: GlobalValues,
  config: () => Promise<Config>,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const startedMs = performance.now();
  let session: Session | undefined;
  try {
    session = await openSession(await config(), flags);
    await work(session);
    warnOfFullCache(session);
  } finally {
    session?.progress.stop();
    await session?.close();
    if (flags.stats) {
      process.stderr.write(
        statsLine(session?.seekfs.metrics, performance.now() - startedMs, session && pricePer1000Gets(session.config)),
      );
    }
  }
}

/** What the policy declines is as it should be; for want of room it is something that people can do something about. */
function warnOfFullCache({ seekfs, config, log }: Session): void {
  const declined = (reason: string): number => seekfs.metrics.get('seekfs_l2_declined_total', { reason });
  // Who wants no L2 need not hear that there is none.
  if (config.cache.l2BytesMax === 0 || declined('room') + declined('size') === 0) return;
  log.log(
    'warn',
    `the cache in ${config.cache.path} has no room for what was read: free space there, or give another directory with --cache`,
  );
}
