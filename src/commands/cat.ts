// `seekfs cat`: a file's verified bytes on stdout.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pathArg } from '../cli/arguments.ts';
import { requireChecksumsFlag, sizeFlag } from '../cli/flags.ts';
import { cat, CAT_LIFETIME } from '../cli/read-commands.ts';

export default class Cat extends SeekfsCommand {
  static override summary = 'write a file to stdout, verified';
  static override examples = [
    '<%= config.bin %> cat dev big.bin | sha256sum',
    '<%= config.bin %> cat dev big.bin --off 1MiB --len 4KiB --at 3',
  ];
  static override args = { ns: nsArg, path: pathArg };
  static override flags = {
    off: sizeFlag({ default: 0, summary: 'first byte' }),
    len: sizeFlag({ summary: 'number of bytes; default: the rest' }),
    'require-checksums': requireChecksumsFlag,
  };

  protected override readonly lifetime = CAT_LIFETIME;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cat);
    const { ns, path } = args;
    await this.work(flags, (session) => cat(session, { ns, path, off: flags.off, len: flags.len }));
  }
}
