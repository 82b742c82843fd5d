// `seekfs serve`: the HTTP Blob API over this configuration, until it is told to stop.
import { once } from 'node:events';
import { boolean, string } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { interruption } from '../cli/interrupt.ts';
import { writeText } from '../cli/output.ts';
import { systemClock } from '../lib/base/clock.ts';
import { SeekfsError } from '../lib/base/errors.ts';
import { systemRandom } from '../lib/base/random.ts';
import { startServer } from '../lib/blobapi/server.ts';
import { isLoopback } from '../lib/config/listen.ts';
import { printConfig } from '../lib/config/print.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { readHead } from '../lib/manifest/head.ts';
import { checkReadiness } from '../lib/maintain/readiness.ts';

const DRAIN_MS_MAX = 10_000;

export default class Serve extends SeekfsCommand {
  static override summary = 'serve the HTTP Blob API';
  static override description = `Listens on 127.0.0.1:7070 unless told otherwise. SIGTERM and Ctrl-C let running answers finish for 10 seconds; a second
signal ends it at once.`;
  static override examples = ['<%= config.bin %> serve', '<%= config.bin %> serve --listen 127.0.0.1:0 --print-config'];
  static override flags = {
    listen: string({ helpValue: 'HOST:PORT', summary: 'address to listen on; port 0 takes a free one' }),
    insecure: boolean({ summary: 'listen on an address that others can reach, without tokens' }),
    'print-config': boolean({ summary: 'print the configuration and where each value came from, and end' }),
  };
  protected override readonly oneShot = false;

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    if (flags['print-config']) {
      const { settings } = await this.loadConfig(flags);
      return writeText(process.stdout, printConfig(settings));
    }
    await this.work(flags, async ({ seekfs, config, signal, say, log }) => {
      const { listen } = config.api;
      if (!isLoopback(listen.host) && !flags.insecure) {
        throw new SeekfsError(
          'usage',
          `${listen.host} can be reached by others; listen on 127.0.0.1, or give --insecure`,
        );
      }
      const { store, memory, metrics } = seekfs;
      const cachePath = config.cache.backend === 'mem' ? undefined : config.cache.path;
      const server = await startServer(
        {
          head: (ns) => readHead(store, ns),
          pin: (ns, selector, options) => seekfs.pin(ns, selector, options),
          reader: () => seekfs.reader(),
          memory,
          metrics,
          log,
          clock: systemClock,
          readiness: (asked) => checkReadiness({ store, cachePath, disk: nodeDisk, random: systemRandom }, asked),
        },
        { listen },
      );
      interruption.graceMs = 2 * DRAIN_MS_MAX;
      say(
        `listening on ${server.url}\nstore ${store.url}\ncache ${cachePath ?? 'in memory'}\ntry: curl ${server.url}/readyz`,
      );
      if (!signal.aborted) await once(signal, 'abort');
      say('stopping: running answers may finish; press Ctrl-C again to break them off');
      await server.close({ drainMsMax: DRAIN_MS_MAX });
    });
  }
}
