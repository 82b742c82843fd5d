// `seekfs readv`: the bytes of many extents, in request order, on stdout.
import { text as readAll } from 'node:stream/consumers';
import { string } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, extentsArg } from '../cli/arguments.ts';
import { parseExtent, parseExtentsText, readExtents } from '../cli/extents.ts';
import { requireChecksumsFlag } from '../cli/flags.ts';
import { readv } from '../cli/read-commands.ts';
import { SeekfsError } from '../lib/base/errors.ts';
import type { Extent } from '../lib/read/reader.ts';

export default class Readv extends SeekfsCommand {
  static override summary = 'write byte ranges of files to stdout, in request order';
  static override usage = 'readv NS EXTENT…';
  static override description = `An extent is PATH:OFF:LEN. It is clipped at the end of its file; one that begins at or past the end of a
file that is not empty is an error, found before the first byte is written.`;
  static override examples = [
    '<%= config.bin %> readv dev warm.bin:0:4096 warm.bin:8MiB:4096',
    'echo \'[{"path":"warm.bin","off":0,"len":4096}]\' | <%= config.bin %> readv dev --file -',
  ];
  static override args = { ns: nsArg, extents: extentsArg };
  static override flags = {
    file: string({
      helpValue: 'FILE',
      summary: 'extents from a file, or - for stdin (so is - alone): a JSON array, or one extent a line',
    }),
    'require-checksums': requireChecksumsFlag,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Readv);
    const words = [...(args.extents ?? [])];
    // A lone "-" is stdin too, as most tools have it.
    const file = flags.file ?? (words.length === 1 && words[0] === '-' ? words.pop() : undefined);
    const named = words.map(parseExtent);
    // There may be millions of them: more than a call has room for arguments.
    const extents = file === undefined ? named : named.concat(await extentsIn(file));
    if (extents.length === 0) throw new SeekfsError('usage', 'no extents; write PATH:OFF:LEN or give --file');
    await this.work(flags, (session) => readv(session, { ns: args.ns, extents }));
  }
}

async function extentsIn(file: string): Promise<Extent[]> {
  return file === '-' ? parseExtentsText(await readAll(process.stdin), 'stdin') : readExtents(file);
}
