// `seekfs status`: what the cache holds and how full it is.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { residencyOf, statusFields, statusText, type Residency } from '../cli/status-report.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { readCacheUse } from '../lib/maintain/status.ts';

export default class Status extends SeekfsCommand {
  static override summary = 'show use and bounds of the cache, and what is in it';
  static override description = `How much of a namespace's current version is here takes its HEAD, one GET; --offline sends none. Changes nothing.`;
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --offline --json'];
  static override flags = { offline: boolean({ summary: 'send no request: no versions' }) };
  protected override readonly takesVia = false;

  async run(): Promise<void> {
    const { flags } = await this.parse(Status);
    await this.work(flags, async (session) => {
      const { path, l2BytesMax: capacityBytes } = session.config.cache;
      const use = await readCacheUse({ disk: nodeDisk, path, capacityBytes, signal: session.signal });
      const residency: Residency[] = [];
      for (const namespace of flags.offline ? [] : use.namespaces) {
        const found = await residencyOf(session, namespace);
        if (found) residency.push(found);
      }
      await session.document(statusFields(use, residency));
      session.say(statusText(use, residency));
    });
  }
}
