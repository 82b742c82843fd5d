// `seekfs stat`: what the manifest says about one file.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pathArg } from '../cli/arguments.ts';
import { bytesForPeople, sheet, timestamp } from '../cli/tables.ts';

export default class Stat extends SeekfsCommand {
  static override summary = 'show one file of a version: size, hash, pages, where its bytes are';
  static override examples = ['<%= config.bin %> stat dev big.bin --json'];
  static override args = { ns: nsArg, path: pathArg };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stat);
    await this.work(flags, async ({ pin, say, document }) => {
      const version = await pin(args.ns);
      const entry = await version.lookup(args.path);
      const { storage, pages } = entry;
      const pageSizeBytes = pages[0]?.len ?? 0;
      const isChecked = pages.every((page) => page.crc32c !== undefined);
      await document({
        ns: args.ns,
        version: version.version,
        path: entry.path,
        size: entry.sizeBytes,
        hash: entry.hash ?? null,
        pages: pages.length,
        page_size: pageSizeBytes,
        checksums: isChecked ? (entry.granuleCrcs ? 'granules' : 'pages') : 'none',
        modified_at: entry.modifiedAtMs === undefined ? null : Math.floor(entry.modifiedAtMs / 1000),
        storage: { key: storage.key, etag: storage.etag ?? null, off: storage.off, sse: storage.sse ?? null },
      });
      say(
        sheet({
          path: entry.path,
          version: `v-${version.version} of ${args.ns}`,
          size: bytesForPeople(entry.sizeBytes),
          hash: entry.hash ?? 'none',
          modified: entry.modifiedAtMs === undefined ? undefined : `${timestamp(entry.modifiedAtMs)} UTC`,
          pages: `${pages.length} of up to ${bytesForPeople(pageSizeBytes)}`,
          checksums: isChecked ? (entry.granuleCrcs ? 'CRC32C of pages and granules' : 'CRC32C of pages') : 'none',
          object: storage.key,
          offset: storage.off === 0 ? undefined : storage.off,
          etag: storage.etag ?? 'none',
        }),
      );
    });
  }
}
