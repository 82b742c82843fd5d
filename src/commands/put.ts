// `seekfs put`: local files and trees into the namespace, and one new version of it.
import { join } from 'node:path';
import { boolean, string } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, sourcesArg } from '../cli/arguments.ts';
import { pageSizeFlag, unsafePublishFlag } from '../cli/flags.ts';
import { publishFields, publishText } from '../cli/publish-report.ts';
import { plural } from '../cli/tables.ts';
import { formatBytes } from '../lib/base/units.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { put } from '../lib/manifest/put.ts';

export default class Put extends SeekfsCommand {
  static override summary = 'upload files or directory trees and publish one new version';
  static override usage = 'put NS SOURCE…';
  static override description = `As with cp -r a directory keeps its name: \`images\` gives images/1.jpg, \`images/\` gives 1.jpg. Checksums are computed
as the bytes go by, nothing is read back. What the store has already, whole objects and parts of large ones, is not sent
again, so that an interrupted put is resumed by repeating it.`;
  static override examples = [
    '<%= config.bin %> put dev images shard-000000.tar',
    '<%= config.bin %> put dev images/ --prefix train',
  ];
  static override args = { ns: nsArg, sources: sourcesArg };
  static override flags = {
    prefix: string({ helpValue: 'PATH', summary: 'put everything under PATH/' }),
    pack: boolean({ summary: 'put files below 256 KiB into tar shards, many in one object' }),
    publish: boolean({ allowNo: true, default: true, summary: 'publish a version; --no-publish only uploads' }),
    'page-size': pageSizeFlag,
    'unsafe-publish': unsafePublishFlag,
  };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Put);
    await this.work(flags, async ({ seekfs, config, signal, progress, say, document, log }) => {
      const report = await put(
        { ...seekfs.publishing, disk: nodeDisk },
        {
          ns: args.ns,
          sources: args.sources,
          prefix: flags.prefix,
          pageSizeBytes: flags['page-size'] ?? config.pageSizeBytes,
          publish: flags.publish,
          journalPath: join(config.cache.path, 'journals'),
          pack: flags.pack ? {} : undefined,
          signal,
          onProgress: ({ bytesDone, bytesFound, filesDone, filesFound }) =>
            progress.update({
              doneBytes: bytesDone,
              totalBytes: bytesFound,
              note: `${filesDone} of ${plural(filesFound, 'file')}`,
            }),
        },
      );
      progress.stop();
      for (const { sourcePath, reason } of report.skipped) log.log('warn', `skipped ${sourcePath}: ${reason}`);
      await document({
        ns: args.ns,
        put_files: report.files,
        put_bytes: report.bytes,
        uploaded_files: report.uploadedFiles,
        uploaded_bytes: report.uploadedBytes,
        reused_files: report.reusedFiles,
        reused_bytes: report.reusedBytes,
        packed_files: report.packedFiles,
        skipped: report.skipped.map(({ sourcePath, reason }) => ({ source: sourcePath, reason })),
        skipped_count: report.skippedCount,
        publish: report.publish ? publishFields(report.publish) : null,
      });
      const reused = report.reusedFiles > 0 ? `, ${report.reusedFiles} of them there already` : '';
      say(`put ${plural(report.files, 'file')}, ${formatBytes(report.bytes)}${reused}`);
      say(
        report.publish
          ? publishText(args.ns, report.publish)
          : `nothing was published: put the same again with --publish`,
      );
    });
  }
}
