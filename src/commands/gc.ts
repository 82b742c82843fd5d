// `seekfs gc`: gives back what nobody needs any more, in the cache, or in the bucket with --remote.
import { boolean } from '@oclif/core/flags';
import { optionalNsArg } from '../cli/arguments.ts';
import { SeekfsCommand } from '../cli/base-command.ts';
import { countFlag, durationFlag } from '../cli/flags.ts';
import { cacheGc, remoteGc } from '../cli/gc-report.ts';
import { SeekfsError } from '../lib/base/errors.ts';

export default class Gc extends SeekfsCommand {
  static override summary = 'drop what nobody needs, from the cache or from the bucket';
  static override description = `Without --remote: pages of versions that neither HEAD, nor a pin, nor a running reader of this host names are dropped, the
cache is brought within its bounds and compacted. With NS only that namespace's pages are dropped.

With NS, --remote and --keep N: all versions but the newest N and the pinned ones are removed from the bucket, and the
objects that only they named; uploads of puts that died are aborted. What is younger than --grace stays.`;
  static override examples = ['<%= config.bin %> gc --dry-run', '<%= config.bin %> gc dev --remote --keep 3 --dry-run'];
  static override args = { ns: optionalNsArg };
  static override flags = {
    'dry-run': boolean({ default: false, summary: 'say what would be removed, remove nothing' }),
    // No default: one would count as given, for what depends on it.
    remote: boolean({ summary: 'in the bucket, not in the cache' }),
    keep: countFlag({ min: 1, dependsOn: ['remote'], summary: 'versions to keep, the newest ones' }),
    grace: durationFlag({ dependsOn: ['remote'], summary: 'what is younger stays; default: 1d' }),
  };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Gc);
    const { ns } = args;
    const dryRun = flags['dry-run'];
    if (!flags.remote) return this.work(flags, (session) => cacheGc(session, { ns, dryRun }));
    const { keep, grace: graceMs } = flags;
    if (ns === undefined || keep === undefined) {
      throw new SeekfsError('usage', 'gc --remote needs a namespace and --keep N');
    }
    return this.work(flags, (session) => remoteGc(session, { ns, keep, graceMs, dryRun }));
  }
}
