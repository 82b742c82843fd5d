// The base of every command: global flags, and one session around the work with the configuration from them.
import { Command } from '@oclif/core/command';
import type { Config } from '../lib/config/config.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import type { Session } from './session.ts';
import type { GlobalValues } from './values.ts';
import { configFrom, runSession, type Lifetime } from './work.ts';

export abstract class SeekfsCommand extends Command {
  static override baseFlags = GLOBAL_FLAGS;
  /** What runs on may take more memory, and what reads every byte once needs no L1. */
  protected readonly lifetime: Lifetime = { oneShot: true };

  /** The configuration as this command's flags make it. */
  protected loadConfig(flags: GlobalValues): Promise<Config> {
    return configFrom(flags, this.lifetime);
  }

  protected work(flags: GlobalValues, work: (session: Session) => Promise<void>): Promise<void> {
    return runSession(flags, () => this.loadConfig(flags), work);
  }

  /** main.ts reports what was thrown. */
  protected override async catch(error: Error): Promise<never> {
    throw error;
  }
}
