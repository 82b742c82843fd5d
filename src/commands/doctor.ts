// `seekfs doctor`: is everything there that seekfs needs, and what to do where it is not.
import { SeekfsCommand } from '../cli/base-command.ts';
import { openFilesMax } from '../cli/machine.ts';
import { table } from '../cli/tables.ts';
import { systemClock } from '../lib/base/clock.ts';
import { systemRandom } from '../lib/base/random.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { examine } from '../lib/maintain/doctor.ts';

const MARKS = { ok: 'ok', warning: 'warning', failed: 'FAILED' } as const;

export default class Doctor extends SeekfsCommand {
  static override summary = 'check the store, the credentials, the cache and this machine';
  static override description = `Writes a few scratch objects under namespaces/seekfs-doctor/ and a scratch file in the cache directory, and removes
them. Exit status 3 where a check failed; warnings alone give 0.`;
  static override examples = ['<%= config.bin %> doctor --store s3://my-bucket'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    await this.work(flags, async ({ seekfs, config, signal, say, document, setStatus }) => {
      const findings = await examine({
        config,
        store: seekfs.store,
        disk: nodeDisk,
        clock: systemClock,
        random: systemRandom,
        openFilesMax: openFilesMax(),
        signal,
      });
      await document({ findings });
      say(table(findings.map(({ check, status, found }) => [MARKS[status], check, found])));
      for (const { check, advice } of findings) if (advice) say(`${check}: ${advice}`);
      if (findings.some(({ status }) => status === 'failed')) setStatus('problems_found');
    });
  }
}
