// `seekfs presign`: a URL that gives one file's object to whoever has it.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pathArg } from '../cli/arguments.ts';
import { durationFlag } from '../cli/flags.ts';
import { SeekfsError } from '../lib/base/errors.ts';
import { formatDuration, parseDurationMs } from '../lib/base/units.ts';

/** The longest that SigV4 allows. */
const EXPIRES_MS_MAX = parseDurationMs('7d');

export default class Presign extends SeekfsCommand {
  static override summary = 'print a presigned GET URL of a file';
  static override examples = ['curl -o big.bin "$(<%= config.bin %> presign dev big.bin --expires 15m)"'];
  static override args = { ns: nsArg, path: pathArg };
  static override flags = {
    expires: durationFlag({
      default: 3_600_000,
      defaultHelp: async () => '1h',
      summary: 'how long it works, at most 7d',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Presign);
    if (flags.expires < 1000 || flags.expires > EXPIRES_MS_MAX) {
      throw new SeekfsError('usage', `--expires must be from 1s to 7d, is ${formatDuration(flags.expires)}`);
    }
    await this.work(flags, async ({ seekfs, pin, print, say, document }) => {
      const { storage, sizeBytes, path } = await (await pin(args.ns)).lookup(args.path);
      const { store } = seekfs;
      const url = await store.presign({ key: storage.key, expiresS: Math.floor(flags.expires / 1000) });
      if (storage.off !== 0) {
        say(`${path} is packed: its bytes are ${storage.off} to ${storage.off + sizeBytes - 1} of the object`);
      }
      await print(`${url}\n`);
      await document({
        url,
        key: storage.key,
        off: storage.off,
        len: sizeBytes,
        expires_s: Math.floor(flags.expires / 1000),
      });
    });
  }
}
