// `seekfs manifest show`: one version, or one file of it with its page table.
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg, optionalPathArg } from '../../cli/arguments.ts';
import { writeJsonList } from '../../cli/output.ts';
import { bytesForPeople, listingLine, sheet, table, timestamp } from '../../cli/tables.ts';
import { encodeEntry } from '../../lib/manifest/entry-json.ts';
import type { FileEntry, PinnedVersion } from '../../lib/manifest/types.ts';
import { stdout } from '../../cli/stdout.ts';

const hex = (crc: number | undefined): string =>
  crc === undefined ? 'none' : `0x${crc.toString(16).padStart(8, '0')}`;

export default class ManifestShow extends SeekfsCommand {
  static override summary = 'show a version, or one file of it with its page table';
  static override description = 'With --json the entries are as they stand in the manifest.';
  static override examples = [
    '<%= config.bin %> manifest show dev --at 3',
    '<%= config.bin %> manifest show dev warm.bin --json',
  ];
  static override args = { ns: nsArg, path: optionalPathArg };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestShow);
    await this.work(flags, async ({ pin, isJson, say, document }) => {
      const version = await pin(args.ns);
      if (args.path !== undefined) {
        const entry = await version.lookup(args.path);
        await document(JSON.parse(encodeEntry(entry)));
        say(describeFile(entry));
        return;
      }
      const { header, digest } = version;
      if (isJson) {
        const head = {
          version: header.version,
          digest,
          parents: header.parents,
          tombstones: header.tombstones,
          created_at: header.createdAtS,
        };
        const list = { head, name: 'files', items: version.list() };
        await writeJsonList(stdout(), list, (entry): unknown => JSON.parse(encodeEntry(entry)));
        return;
      }
      say(describeVersion(version));
      for await (const entry of version.list()) say(listingLine(entry).trimEnd());
    });
  }
}

function describeVersion({ ns, version, digest, header, fileCount, totalBytes }: PinnedVersion): string {
  return sheet({
    version: `v-${version} of ${ns}`,
    digest,
    parents: header.parents.map((parent) => `v-${parent}`).join(', ') || 'none',
    created: `${timestamp(header.createdAtS * 1000)} UTC`,
    files: fileCount,
    bytes: bytesForPeople(totalBytes),
    removed: header.tombstones.length === 0 ? undefined : header.tombstones.length,
  });
}

function describeFile({ path, sizeBytes, hash, storage, pages }: FileEntry): string {
  const facts = {
    path,
    size: bytesForPeople(sizeBytes),
    hash: hash ?? 'none',
    object: storage.key,
    etag: storage.etag ?? 'none',
  };
  const rows = pages.map(({ pageId, off, len, crc32c }) => [`page ${pageId}`, String(off), String(len), hex(crc32c)]);
  return [sheet(facts), table([['', 'offset', 'length', 'CRC32C'], ...rows], [1, 2])].join('\n');
}
