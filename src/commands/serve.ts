// `seekfs serve`: the HTTP Blob API over this configuration, until it is told to stop.
import { availableParallelism } from 'node:os';
import { boolean, string } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { countFlag, durationFlag, GLOBAL_FLAGS, LIMIT_FLAGS } from '../cli/flags.ts';
import { writeText } from '../cli/output.ts';
import { serve } from '../cli/serve.ts';
import type { GlobalValues } from '../cli/values.ts';
import { isWorker } from '../lib/blobapi/workers.ts';
import type { Config } from '../lib/config/config.ts';
import { listConfig, printConfig } from '../lib/config/print.ts';
import { shareConfig } from '../lib/config/share.ts';
import { stdout } from '../cli/stdout.ts';

const WORKERS_DEFAULT_MAX = 4;

export default class Serve extends SeekfsCommand {
  static override summary = 'serve files over HTTP (the Blob API), with a status page';
  static override description = `Listens on 127.0.0.1:7070 unless told otherwise; docs/blob-api.md has the endpoints. SIGTERM and Ctrl-C let running
answers finish, a second signal ends it at once. SIGHUP reads the tokens and the certificate again.`;
  static override examples = [
    '<%= config.bin %> serve',
    '<%= config.bin %> serve --listen 0.0.0.0:7070 --tokens tokens.txt --tls-cert cert.pem --tls-key key.pem',
    '<%= config.bin %> serve --listen 127.0.0.1:0 --print-config',
  ];
  static override baseFlags: typeof GLOBAL_FLAGS = { ...GLOBAL_FLAGS, ...LIMIT_FLAGS };
  static override flags = {
    listen: string({ helpValue: 'HOST:PORT', summary: 'address to listen on; port 0 takes a free one' }),
    'cors-origins': string({
      helpValue: 'ORIGIN,…',
      summary: 'origins whose pages may read answers in a browser; default: none',
    }),
    workers: countFlag({ min: 1, summary: 'processes that share the address; default: one a core, at most 4' }),
    tokens: string({ helpValue: 'FILE', summary: 'bearer tokens: lines of TOKEN NAMESPACE[,NAMESPACE…], * for all' }),
    insecure: boolean({ default: false, summary: 'listen on an address that others can reach, without tokens' }),
    'tls-cert': string({ helpValue: 'FILE', summary: 'certificate chain in PEM' }),
    'tls-key': string({ helpValue: 'FILE', summary: 'its private key in PEM' }),
    'log-requests': boolean({ default: false, summary: 'log every request, not only slow and failed ones' }),
    slow: durationFlag({ default: 5000, defaultHelp: async () => '5s', summary: 'log requests that take longer' }),
    drain: durationFlag({
      default: 10_000,
      defaultHelp: async () => '10s',
      summary: 'how long running answers may take at the end',
    }),
    'print-config': boolean({ summary: 'print the configuration and where each value came from, and end' }),
  };
  protected override readonly lifetime = { oneShot: false };
  /** Each request names its own. */
  protected override readonly takesAt = false;
  #workers = 1;

  protected override async loadConfig(flags: GlobalValues): Promise<Config> {
    const config = await super.loadConfig(flags);
    return isWorker() ? shareConfig(config, this.#workers) : config;
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    if (flags['print-config']) {
      const { settings } = await this.loadConfig(flags);
      const text = flags.json ? `${JSON.stringify({ settings: listConfig(settings) })}\n` : printConfig(settings);
      return writeText(stdout(), text);
    }
    this.#workers = flags.workers ?? Math.min(availableParallelism(), WORKERS_DEFAULT_MAX);
    await this.work(flags, (session) => serve(session, { ...flags, workers: this.#workers }));
  }
}
