// `seekfs manifest verify`: the bucket against a version.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg } from '../../cli/arguments.ts';
import { plural } from '../../cli/tables.ts';
import { formatBytes } from '../../lib/base/units.ts';
import { verifyBucket, type BucketFinding } from '../../lib/manifest/verify-bucket.ts';

const FINDINGS_SHOWN_MAX = 1000;

export default class ManifestVerify extends SeekfsCommand {
  static override summary = 'check that every object of a version is there, of the right size and ETag';
  static override description = 'Exit status 3 where something is wrong. Changes nothing.';
  static override examples = [
    '<%= config.bin %> manifest verify dev',
    '<%= config.bin %> manifest verify dev --at 3 --deep',
  ];
  static override args = { ns: nsArg };
  static override flags = { deep: boolean({ summary: 'read every object and compare its hash' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestVerify);
    await this.work(flags, async ({ seekfs, pin, signal, progress, say, document, setStatus }) => {
      const version = await pin(args.ns);
      const findings: BucketFinding[] = [];
      const result = await verifyBucket({ store: seekfs.store }, version, {
        deep: flags.deep,
        signal,
        onFinding: (finding) => findings.length < FINDINGS_SHOWN_MAX && findings.push(finding),
        onProgress: ({ bytesDone, bytesTotal, filesDone, filesTotal }) =>
          progress.update({
            doneBytes: bytesDone,
            totalBytes: flags.deep ? bytesTotal : undefined,
            note: `${filesDone} of ${filesTotal} files`,
          }),
      });
      progress.stop();
      await document({
        ns: args.ns,
        version: version.version,
        deep: flags.deep,
        files: result.files,
        bytes: result.bytes,
        problems: result.findings,
        findings,
      });
      for (const { kind, path, key, expected, actual } of findings) {
        say(`${path}: ${kind} of ${key}: expected ${expected}, found ${actual}`);
      }
      const size = `${plural(result.files, 'file')}, ${formatBytes(result.bytes)}`;
      say(`v-${version.version} of ${args.ns}: ${size} checked, ${plural(result.findings, 'problem')}`);
      if (result.findings > 0) setStatus('problems_found');
    });
  }
}
