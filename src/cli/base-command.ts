// The base of every command: global flags, and one session around the work with the configuration from them.
import { Command } from '@oclif/core/command';
import type { Config } from '../lib/config/config.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import type { Session } from './session.ts';
import type { GlobalValues } from './values.ts';
import { configFrom, runSession } from './work.ts';

export abstract class SeekfsCommand extends Command {
  static override baseFlags = GLOBAL_FLAGS;
  /** False for what runs on: it may take more memory. */
  protected readonly oneShot: boolean = true;

  /** The configuration as this command's flags make it. */
  protected loadConfig(flags: GlobalValues): Promise<Config> {
    return configFrom(flags, { oneShot: this.oneShot });
  }

  protected work(flags: GlobalValues, work: (session: Session) => Promise<void>): Promise<void> {
    return runSession(flags, () => this.loadConfig(flags), work);
  }

  /** main.ts reports what was thrown. */
  protected override async catch(error: Error): Promise<never> {
    throw error;
  }
}
