// `seekfs manifest diff`: what one version has that another has not.
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg, versionArg } from '../../cli/arguments.ts';
import { writeJsonList } from '../../cli/output.ts';
import { plural } from '../../cli/tables.ts';
import { formatBytes } from '../../lib/base/units.ts';
import { diffVersions, type Difference } from '../../lib/manifest/history.ts';
import { stdout } from '../../cli/stdout.ts';

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

export default class ManifestDiff extends SeekfsCommand {
  static override summary = 'compare two versions: files added, removed and changed';
  static override examples = ['<%= config.bin %> manifest diff dev 2 3'];
  static override args = { ns: nsArg, a: versionArg, b: versionArg };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestDiff);
    await this.work(flags, async ({ pin, isJson, say }) => {
      const open = (version: number) => pin(args.ns, { kind: 'version', version });
      const differences = diffVersions(await open(args.a), await open(args.b));
      if (isJson) {
        const head = { ns: args.ns, a: args.a, b: args.b };
        await writeJsonList(stdout(), { head, name: 'differences', items: differences }, toJson);
        return;
      }
      const sums = { added: { files: 0, bytes: 0 }, removed: { files: 0, bytes: 0 }, changed: { files: 0, bytes: 0 } };
      for await (const difference of differences) {
        const { sizeBytes } = difference.kind === 'removed' ? difference.before : difference.after;
        sums[difference.kind].files += 1;
        sums[difference.kind].bytes += sizeBytes;
        say(`${SIGNS[difference.kind]} ${String(sizeBytes).padStart(14)}  ${difference.path}`);
      }
      const parts = Object.entries(sums).map(
        ([kind, { files, bytes }]) => `${plural(files, 'file')} ${kind} (${formatBytes(bytes)})`,
      );
      say(parts.join(', '));
    });
  }
}

function toJson(difference: Difference): Readonly<Record<string, unknown>> {
  const { kind, path } = difference;
  return {
    kind,
    path,
    ...(kind === 'added' ? {} : { size_a: difference.before.sizeBytes, hash_a: difference.before.hash ?? null }),
    ...(kind === 'removed' ? {} : { size_b: difference.after.sizeBytes, hash_b: difference.after.hash ?? null }),
  };
}
