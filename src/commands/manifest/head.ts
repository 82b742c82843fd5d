// `seekfs manifest head`: the current version of a namespace.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../../cli/base-command.ts';
import { nsArg } from '../../cli/arguments.ts';
import { bytesForPeople, sheet, timestamp } from '../../cli/tables.ts';
import { formatDuration } from '../../lib/base/units.ts';

export default class ManifestHead extends SeekfsCommand {
  static override summary = 'show the current version: digest, files, bytes, age';
  static override examples = ['<%= config.bin %> manifest head dev', '<%= config.bin %> manifest head dev --short'];
  static override args = { ns: nsArg };
  static override flags = { short: boolean({ summary: 'only the version, as v-3, on stdout' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManifestHead);
    await this.work(flags, async ({ pin, print, say, document }) => {
      const { version, digest, header, fileCount, totalBytes } = await pin(args.ns);
      const ageMs = Math.max(0, Date.now() - header.createdAtS * 1000);
      await document({
        ns: args.ns,
        version,
        digest,
        parents: header.parents,
        files: fileCount,
        bytes: totalBytes,
        created_at: header.createdAtS,
        age_s: Math.round(ageMs / 1000),
      });
      if (flags.short) await print(`v-${version}\n`);
      else {
        say(
          sheet({
            version: `v-${version} of ${args.ns}`,
            digest,
            files: fileCount,
            bytes: bytesForPeople(totalBytes),
            created: `${timestamp(header.createdAtS * 1000)} UTC, ${formatDuration(ageMs)} ago`,
          }),
        );
      }
    });
  }
}
