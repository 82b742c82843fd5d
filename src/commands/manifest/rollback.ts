// `seekfs manifest rollback`: an older version's contents as a new version.
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg, versionArg } from '../../cli/arguments.ts';
import { unsafePublishFlag } from '../../cli/flags.ts';
import { publishFields, publishText } from '../../cli/publish-report.ts';
import { rollback } from '../../lib/manifest/history.ts';

export default class ManifestRollback extends SeekfsCommand {
  static override summary = 'publish the contents of an older version again';
  static override description =
    'Nothing is uploaded and no version is removed: the history goes on with a version like the old one.';
  static override examples = ['<%= config.bin %> manifest rollback dev 2'];
  static override args = { ns: nsArg, version: versionArg };
  static override flags = { 'unsafe-publish': unsafePublishFlag };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestRollback);
    await this.work(flags, async ({ seekfs, signal, say, document }) => {
      const report = await rollback(seekfs.publishing, { ns: args.ns, version: args.version, signal });
      await document({ ns: args.ns, rolled_back_to: args.version, ...publishFields(report) });
      say(publishText(args.ns, report));
    });
  }
}
