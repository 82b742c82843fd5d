// `seekfs stat`: what the manifest says about one file.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pathArg } from '../cli/arguments.ts';
import { stat } from '../cli/list-commands.ts';

export default class Stat extends SeekfsCommand {
  static override summary = 'show one file of a version: size, hash, pages, object';
  static override examples = ['<%= config.bin %> stat dev big.bin --json'];
  static override args = { ns: nsArg, path: pathArg };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stat);
    await this.work(flags, (session) => stat(session, args));
  }
}
