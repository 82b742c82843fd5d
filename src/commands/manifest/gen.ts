// `seekfs manifest gen`: publishes the objects that lie under files/, whoever put them there.
import { join } from 'node:path';
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg, pathsArg } from '../../cli/arguments.ts';
import { plural } from '../../cli/tables.ts';
import { pageSizeFlag, unsafePublishFlag } from '../../cli/flags.ts';
import { generateFields, showGenerated } from '../../cli/generate-report.ts';
import { generate, type GenerateProgress } from '../../lib/manifest/generate.ts';

export default class ManifestGen extends SeekfsCommand {
  static override summary = 'publish the objects that lie under files/ already';
  static override usage = 'manifest gen NS [PATH…]';
  static override description = `PATH is a path, a prefix that ends in a slash or a glob; none means everything. What is unchanged since the current
version is not read. Objects that are gone are taken out. Where nothing changed, nothing is published.`;
  static override examples = [
    '<%= config.bin %> manifest gen dev warm.bin',
    '<%= config.bin %> manifest gen dev --dry-run',
  ];
  static override args = { ns: nsArg, paths: pathsArg };
  static override flags = {
    'page-size': pageSizeFlag,
    'dry-run': boolean({ summary: 'show what would change, read and publish nothing' }),
    'index-tar': boolean({ summary: 'publish the members of tar shards as files beside them' }),
    replace: boolean({ summary: 'the new version has only the named files' }),
    resume: boolean({ summary: 'do not read again what an interrupted run had finished' }),
    rebind: boolean({ summary: 'read again what put made and whose object has another ETag (a store that was moved)' }),
    'unsafe-publish': unsafePublishFlag,
  };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestGen);
    await this.work(flags, async (session) => {
      const { seekfs, config, signal, progress, document } = session;
      const report = await generate(seekfs.publishing, {
        ns: args.ns,
        patterns: args.paths ?? [],
        pageSizeBytes: flags['page-size'] ?? config.pageSizeBytes,
        dryRun: flags['dry-run'],
        indexTar: flags['index-tar'],
        replace: flags.replace,
        rebind: flags.rebind,
        resume: flags.resume,
        journalPath: join(config.cache.path, 'journals'),
        signal,
        onProgress: (state) => progress.update(progressOf(state)),
      });
      progress.stop();
      await document(generateFields(args.ns, report));
      showGenerated(session, args.ns, report);
    });
  }
}

function progressOf(state: GenerateProgress): { doneBytes: number; totalBytes?: number; note: string } {
  if (state.phase === 'list') return { doneBytes: 0, note: `${state.listedObjects} objects listed` };
  const { bytesDone, bytesTotal, filesDone, filesTotal } = state;
  return { doneBytes: bytesDone, totalBytes: bytesTotal, note: `${filesDone} of ${plural(filesTotal, 'file')}` };
}
