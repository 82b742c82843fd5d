// The base of every command: global flags, and one session around the work with the configuration from them.
import { Command } from '@oclif/core/command';
import { SeekfsError } from '../lib/base/errors.ts';
import type { Config } from '../lib/config/config.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import type { Session } from './session.ts';
import type { GlobalValues } from './values.ts';
import { configFrom, runSession, type Lifetime } from './work.ts';

export abstract class SeekfsCommand extends Command {
  static override baseFlags = GLOBAL_FLAGS;
  /** False where `--at` cannot mean anything and one could think that it does: then it is refused, not passed over. */
  protected readonly takesAt: boolean = true;
  /** False where the command looks at this host by itself, which is not what `--via` reads. */
  protected readonly takesVia: boolean = true;
  /** What runs on may take more memory, and what reads every byte once needs no L1. */
  protected readonly lifetime: Lifetime = { oneShot: true };

  /** The configuration as this command's flags make it. */
  protected loadConfig(flags: GlobalValues): Promise<Config> {
    return configFrom(flags, this.lifetime);
  }

  protected async work(flags: GlobalValues, work: (session: Session) => Promise<void>): Promise<void> {
    this.refuseFlags(flags);
    await runSession(flags, () => this.loadConfig(flags), work);
  }

  /** For a command without a session; `work` does it by itself. @throws usage */
  protected refuseFlags(flags: GlobalValues): void {
    const command = this.id?.replace(':', ' ');
    if (flags.at && !this.takesAt) {
      throw new SeekfsError(
        'usage',
        `--at is for commands that read one version, which ${command} is not; leave it out`,
      );
    }
    if (flags.via !== undefined && !this.takesVia) {
      throw new SeekfsError('usage', `--via is for commands that read a store, which ${command} is not; leave it out`);
    }
  }

  /** main.ts reports what was thrown. */
  protected override async catch(error: Error): Promise<never> {
    throw error;
  }
}
