// `seekfs ls`: paths of a version, from the manifest.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, prefixArg } from '../cli/arguments.ts';
import { ls } from '../cli/list-commands.ts';

export default class Ls extends SeekfsCommand {
  static override summary = 'list the files of a version, without a LIST request';
  static override description =
    'One path a line, on stdout, in UTF-8 byte order. PREFIX is a prefix of paths, not a directory.';
  static override examples = ['<%= config.bin %> ls dev images/ --long'];
  static override args = { ns: nsArg, prefix: prefixArg };
  static override flags = { long: boolean({ char: 'l', summary: 'size, modification time and hash before the path' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls);
    const { ns, prefix } = args;
    await this.work(flags, (session) => ls(session, { ns, prefix, long: flags.long }));
  }
}
