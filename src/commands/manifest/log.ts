// `seekfs manifest log`: the versions of a namespace, newest first.
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg } from '../../cli/arguments.ts';
import { countFlag } from '../../cli/flags.ts';
import { plural, table, timestamp } from '../../cli/tables.ts';
import { formatBytes } from '../../lib/base/units.ts';
import { walkHistory } from '../../lib/maintain/history.ts';

export default class ManifestLog extends SeekfsCommand {
  static override summary = 'show the history of a namespace, newest version first';
  static override description =
    'Each version costs one GET, unless its manifest is cached. Versions that gc removed end the history.';
  static override examples = ['<%= config.bin %> manifest log dev --limit 5'];
  static override args = { ns: nsArg };
  static override flags = { limit: countFlag({ min: 1, default: 20, summary: 'number of versions at most' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestLog);
    await this.work(flags, async ({ seekfs, pin, signal, say, document }) => {
      const versions = [];
      const rows: string[][] = [];
      const open = (version: number) => seekfs.pin(args.ns, { kind: 'version', version }, { signal });
      for await (const { version, digest, header, fileCount, totalBytes } of walkHistory(await pin(args.ns), open)) {
        versions.push({
          version,
          digest,
          parents: header.parents,
          created_at: header.createdAtS,
          files: fileCount,
          bytes: totalBytes,
          removed: header.tombstones.length,
        });
        const created = `${timestamp(header.createdAtS * 1000)} UTC`;
        rows.push([`v-${version}`, created, plural(fileCount, 'file'), formatBytes(totalBytes), digest.slice(0, 19)]);
        if (versions.length === flags.limit) break;
      }
      await document({ ns: args.ns, versions });
      say(table(rows, [2, 3]));
    });
  }
}
