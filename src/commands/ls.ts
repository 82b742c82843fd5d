// `seekfs ls`: paths of a version, from the manifest; without a namespace, which namespaces there are.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { optionalNsArg, prefixArg } from '../cli/arguments.ts';
import { SeekfsError } from '../lib/base/errors.ts';
import { listAllNamespaces, ls } from '../cli/list-commands.ts';

export default class Ls extends SeekfsCommand {
  static override summary = 'list the files of a version, or the namespaces';
  static override description = `One path a line, on stdout, in UTF-8 byte order, from the manifest: no LIST request. PREFIX is a prefix of paths, not a
directory. Without NS: the namespaces of the store in which something was published, for a LIST request each.`;
  static override examples = ['<%= config.bin %> ls dev images/ --long', '<%= config.bin %> ls'];
  static override args = { ns: optionalNsArg, prefix: prefixArg };
  static override flags = {
    long: boolean({
      char: 'l',
      summary: 'size, modification time and hash before the path; time of the last version before the namespace',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls);
    const { ns, prefix } = args;
    const { long, at } = flags;
    if (ns !== undefined) return this.work(flags, (session) => ls(session, { ns, prefix, long }));
    if (at) throw new SeekfsError('usage', 'ls --at is for the files of a namespace: name it');
    return this.work(flags, (session) => listAllNamespaces(session, { long }));
  }
}
