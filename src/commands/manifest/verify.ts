// `seekfs manifest verify`: the bucket against a version.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg } from '../../cli/arguments.ts';
import { checkBucket, sayBucket } from '../../cli/fsck-report.ts';

export default class ManifestVerify extends SeekfsCommand {
  static override summary = 'check that every object of a version is in the bucket';
  static override description = 'Exit status 3 where something is wrong. Changes nothing.';
  static override examples = [
    '<%= config.bin %> manifest verify dev',
    '<%= config.bin %> manifest verify dev --at 3 --deep',
  ];
  static override args = { ns: nsArg };
  static override flags = { deep: boolean({ default: false, summary: 'read every object and compare its hash' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestVerify);
    await this.work(flags, async (session) => {
      const bucket = await checkBucket(session, { ns: args.ns, deep: flags.deep });
      session.progress.stop();
      await session.document({ deep: flags.deep, ...bucket });
      sayBucket(session, bucket);
      if (bucket.problems > 0) session.setStatus('problems_found');
    });
  }
}
