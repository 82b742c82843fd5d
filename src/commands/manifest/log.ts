// `seekfs manifest log`: the versions of a namespace, newest first.
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg } from '../../cli/arguments.ts';
import { countFlag } from '../../cli/flags.ts';
import { plural, table, timestamp } from '../../cli/tables.ts';
import { formatBytes } from '../../lib/base/units.ts';
import { versionHistory, type VersionSummary } from '../../lib/manifest/history.ts';

export default class ManifestLog extends SeekfsCommand {
  static override summary = 'show the history of a namespace, newest version first';
  static override description =
    'Each version costs a head request, and one GET unless its manifest is cached. The first version that gc removed ends the history.';
  static override examples = ['<%= config.bin %> manifest log dev --limit 5'];
  static override args = { ns: nsArg };
  static override flags = { limit: countFlag({ min: 1, default: 20, summary: 'number of versions at most' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestLog);
    await this.work(flags, async ({ seekfs, signal, say, document }) => {
      const options = { from: flags.at ?? { kind: 'head' as const }, limit: flags.limit, signal };
      const versions: VersionSummary[] = [];
      for await (const version of versionHistory(seekfs.publishing, args.ns, options)) versions.push(version);
      await document({ ns: args.ns, versions: versions.map((version) => toJson(version)) });
      const rows = versions.map(({ version, createdAtS, fileCount, totalBytes, tombstones }) => [
        `v-${version}`,
        `${timestamp(createdAtS * 1000)} UTC`,
        plural(fileCount, 'file'),
        formatBytes(totalBytes),
        tombstones > 0 ? `${tombstones} removed` : '',
      ]);
      say(table(rows, [2, 3]));
    });
  }
}

function toJson(summary: VersionSummary): Readonly<Record<string, unknown>> {
  const { version, digest, parents, createdAtS, fileCount, totalBytes, tombstones } = summary;
  return { version, digest, parents, created_at: createdAtS, files: fileCount, bytes: totalBytes, removed: tombstones };
}
