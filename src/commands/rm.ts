// `seekfs rm`: a new version without some files.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, removedArg } from '../cli/arguments.ts';
import { unsafePublishFlag } from '../cli/flags.ts';
import { publishFields, publishText } from '../cli/publish-report.ts';
import { removeFiles } from '../lib/manifest/remove.ts';

export default class Rm extends SeekfsCommand {
  static override summary = 'publish a version without some files';
  static override usage = 'rm NS PATH…';
  static override description = `A path that ends in a slash stands for everything under it. Older versions keep their files; objects that no kept
version names are removed by gc --remote.`;
  static override examples = ['<%= config.bin %> rm dev images/1.jpg', '<%= config.bin %> rm dev images/'];
  static override args = { ns: nsArg, paths: removedArg };
  static override flags = { 'unsafe-publish': unsafePublishFlag };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Rm);
    const { ns, paths } = args;
    await this.work(flags, async ({ seekfs, signal, say, document }) => {
      const report = await removeFiles(seekfs.publishing, { ns, paths, signal });
      await document({ ns, ...publishFields(report) });
      say(publishText(ns, report));
    });
  }
}
