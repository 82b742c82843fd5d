// The base of every command: global flags, configuration from them, one session around the work, counters at the end.
import { Command } from '@oclif/core/command';
import type { Config } from '../lib/config/config.ts';
import { loadConfig } from '../lib/config/load.ts';
import type { FlagValue } from '../lib/config/resolve.ts';
import type { SettingKey } from '../lib/config/schema.ts';
import { GLOBAL_FLAGS, SETTING_FLAGS, type GlobalValues } from './flags.ts';
import { machineFacts } from './machine.ts';
import { openSession, type Session } from './session.ts';
import { statsLine } from './stats.ts';

export abstract class SeekfsCommand extends Command {
  static override baseFlags = GLOBAL_FLAGS;
  /** False for what runs on: it may take more memory. */
  protected readonly oneShot: boolean = true;

  /** Runs it as oclif would, errors thrown. */
  async start(): Promise<void> {
    await this._run();
  }

  /** The configuration as this command's flags make it. */
  protected loadConfig(flags: GlobalValues): Promise<Config> {
    const given = new Map<SettingKey, FlagValue>();
    for (const [flag, key] of Object.entries(SETTING_FLAGS)) {
      const value = flags[flag as keyof typeof SETTING_FLAGS];
      if (value !== undefined) given.set(key, { flag: `--${flag}`, text: String(value) });
    }
    return loadConfig({ ...machineFacts(), configFile: flags.config, flags: given, oneShot: this.oneShot });
  }

  /** Opens a session, does the work in it and closes it, whatever happens; `--stats` prints its line even then. */
  protected async work(flags: GlobalValues, work: (session: Session) => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    let session: Session | undefined;
    try {
      session = await openSession(await this.loadConfig(flags), flags);
      await work(session);
      warnOfFullCache(session);
    } finally {
      session?.progress.stop();
      await session?.close();
      if (flags.stats) {
        process.stderr.write(statsLine(session?.seekfs.metrics, performance.now() - startedMs));
      }
    }
  }

  /** main.ts reports what was thrown. */
  protected override async catch(error: Error): Promise<never> {
    throw error;
  }
}

/** What the policy declines is as it should be; for want of room it is something that people can do something about. */
function warnOfFullCache({ seekfs, config, log }: Session): void {
  const declined = (reason: string): number => seekfs.metrics.get('seekfs_l2_declined_total', { reason });
  if (declined('room') + declined('size') === 0) return;
  log.log(
    'warn',
    `the cache in ${config.cache.path} has no room for what was read: free space there, or give another directory with --cache`,
  );
}
