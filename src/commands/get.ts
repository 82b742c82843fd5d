// `seekfs get`: files of a version to local files.
import { SeekfsCommand } from '../cli/base-command.ts';
import { destinationArg, nsArg, pathsArg } from '../cli/arguments.ts';
import { placeFiles, refuseFileName, refuseStdout } from '../cli/destinations.ts';
import { requireChecksumsFlag } from '../cli/flags.ts';
import { bytesForPeople, plural } from '../cli/tables.ts';
import { getFiles } from '../lib/maintain/get.ts';
import { selectFiles, type SelectedFile } from '../lib/maintain/select.ts';

export default class Get extends SeekfsCommand {
  static override summary = 'download files or trees, verified and resumable';
  static override usage = 'get NS [PATH…] DEST';
  static override description = `PATH is a file, a directory or a glob; none means everything. As with cp -r, \`images\` gives DEST/images/1.jpg and
\`images/\` gives DEST/1.jpg. One file goes to DEST itself, unless DEST is a directory or ends in a slash. Files that are
there with the right bytes are not fetched again; what an interrupted run left is kept as far as it is right.`;
  static override examples = [
    '<%= config.bin %> get dev data/',
    '<%= config.bin %> get dev big.bin ./big.bin',
    '<%= config.bin %> get dev "images/*.jpg" out/',
  ];
  static override args = { ns: nsArg, paths: pathsArg, destination: destinationArg };
  static override flags = { 'require-checksums': requireChecksumsFlag };

  protected override readonly lifetime = { oneShot: true, readsOnce: true };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Get);
    const { paths: names = [], destination } = args;
    refuseStdout(args.ns, destination);
    await this.work(flags, async ({ seekfs, pin, signal, progress, say, document }) => {
      const version = await pin(args.ns);
      if (names.length === 0) await refuseFileName(version, destination);
      const selected: SelectedFile[] = [];
      for await (const file of selectFiles(version, names)) selected.push(file);
      const downloads = await placeFiles(selected, names, destination);
      const totalBytes = selected.reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
      const report = await getFiles({
        reader: await seekfs.reader(),
        version,
        downloads,
        signal,
        onProgress: ({ doneBytes, doneFiles }) =>
          progress.update({ doneBytes, totalBytes, note: `${doneFiles} of ${plural(selected.length, 'file')}` }),
      });
      progress.stop();
      await document({
        ns: args.ns,
        version: version.version,
        files: report.files,
        bytes: report.bytes,
        present_files: report.presentFiles,
        present_bytes: report.presentBytes,
        resumed_bytes: report.resumedBytes,
      });
      const present = report.presentFiles > 0 ? `, ${plural(report.presentFiles, 'file')} of them there already` : '';
      say(
        `v-${version.version} of ${args.ns}: ${plural(report.files, 'file')}, ${bytesForPeople(report.bytes)} in ${destination}${present}`,
      );
    });
  }
}
