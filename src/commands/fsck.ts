// `seekfs fsck`: is the cache intact, and with NS, does the bucket have what the manifest says?
import { boolean } from '@oclif/core/flags';
import { optionalNsArg } from '../cli/arguments.ts';
import { SeekfsCommand } from '../cli/base-command.ts';
import { checkBucket, checkCache, fsckFields, sayFindings } from '../cli/fsck-report.ts';

export default class Fsck extends SeekfsCommand {
  static override summary = 'check the cache, and given NS the bucket against the manifest';
  static override description = `Checks the segments, every record's head and the index; with NS also that every object of the version is in the bucket,
of the right size and ETag. --deep reads the records' and the objects' bytes, too. Changes nothing, unless --repair,
which drops from the cache what is bad and rebuilds its index. Exit status 3 where problems are left.`;
  static override examples = [
    '<%= config.bin %> fsck',
    '<%= config.bin %> fsck dev --deep',
    '<%= config.bin %> fsck --repair',
  ];
  static override args = { ns: optionalNsArg };
  static override flags = {
    deep: boolean({ default: false, summary: 'read and compare all bytes' }),
    repair: boolean({ default: false, summary: 'drop from the cache what is bad, rebuild its index' }),
  };
  protected override readonly takesVia = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Fsck);
    await this.work(flags, async (session) => {
      const cache = await checkCache(session, flags);
      const bucket = args.ns === undefined ? undefined : await checkBucket(session, { ns: args.ns, deep: flags.deep });
      session.progress.stop();
      await session.document(fsckFields(cache, bucket));
      sayFindings(session, cache, bucket);
      if (cache.problemsLeft + (bucket?.problems ?? 0) > 0) session.setStatus('problems_found');
    });
  }
}
