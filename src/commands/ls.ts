// `seekfs ls`: paths of a version, from the manifest.
import { string as stringArg } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg } from '../cli/arguments.ts';
import { writeJsonList } from '../cli/output.ts';
import { listingLine } from '../cli/tables.ts';
import { stdout } from '../cli/stdout.ts';

const CHUNK_CHARS = 64 * 1024;

export default class Ls extends SeekfsCommand {
  static override summary = 'list the files of a version, without a LIST request';
  static override description =
    'One path a line, on stdout, in UTF-8 byte order. PREFIX is a prefix of paths, not a directory.';
  static override examples = ['<%= config.bin %> ls dev images/ --long'];
  static override args = { ns: nsArg, prefix: stringArg({ description: 'prefix of paths' }) };
  static override flags = { long: boolean({ char: 'l', summary: 'size, modification time and hash before the path' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls);
    await this.work(flags, async ({ pin, isJson, print }) => {
      const version = await pin(args.ns);
      const entries = version.list({ prefix: args.prefix });
      if (isJson) {
        const head = { ns: args.ns, version: version.version, digest: version.digest };
        await writeJsonList(stdout(), { head, name: 'files', items: entries }, ({ path, sizeBytes, hash }) => ({
          path,
          size: sizeBytes,
          hash,
        }));
        return;
      }
      let text = '';
      for await (const entry of entries) {
        text += flags.long ? listingLine(entry) : `${entry.path}\n`;
        if (text.length < CHUNK_CHARS) continue;
        await print(text);
        text = '';
      }
      await print(text);
    });
  }
}
