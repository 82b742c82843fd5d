// `seekfs warm`: brings what is missing into L2, checks what is there, or says what that would cost.
import { boolean } from '@oclif/core/flags';
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pathsArg } from '../cli/arguments.ts';
import { priceFlag, requireChecksumsFlag } from '../cli/flags.ts';
import { pricePer1000Gets } from '../cli/price.ts';
import { reportCheck, reportForecast, reportWarm } from '../cli/warm-report.ts';
import { checkWarm, forecastWarm, warm, type WarmRequest } from '../lib/maintain/warm.ts';

export default class Warm extends SeekfsCommand {
  static override summary = 'fetch missing pages of files into the local cache';
  static override usage = 'warm NS [PATH…]';
  static override description = `PATH is a path, a prefix that ends in a slash or a glob; none means everything. What is there already is not fetched
again, so that an interrupted warm goes on where it stopped. Exit status 3 where the cache did not take all.`;
  static override examples = [
    '<%= config.bin %> warm dev --at 3',
    '<%= config.bin %> warm dev images/ --check',
    '<%= config.bin %> warm dev --dry-run --price 0.0004',
  ];
  static override args = { ns: nsArg, paths: pathsArg };
  static override flags = {
    check: boolean({
      exclusive: ['dry-run'],
      summary: 'read what is there, fetch nothing; exit status 3 where anything is missing or damaged',
    }),
    'dry-run': boolean({ summary: 'say how many pages, bytes and GETs it would take' }),
    price: priceFlag({ dependsOn: ['dry-run'], summary: 'price of 1,000 GETs, for the cost' }),
    'require-checksums': requireChecksumsFlag,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Warm);
    await this.work(flags, async (session) => {
      const { seekfs, signal, progress } = session;
      const version = await session.pin(args.ns);
      const deps = { reader: await seekfs.reader(), cache: await seekfs.cache() };
      const request: WarmRequest = {
        version,
        patterns: args.paths ?? [],
        signal,
        onProgress: ({ bytes, totalBytes }) => progress.update({ doneBytes: bytes, totalBytes }),
      };
      if (flags.check) await reportCheck(session, version, await checkWarm(deps, request));
      else if (flags['dry-run']) {
        const forecast = await forecastWarm(deps, {
          ...request,
          pricePer1000Gets: flags.price ?? pricePer1000Gets(session.config),
        });
        await reportForecast(session, version, forecast);
      } else {
        // What it fetched would be gone when it ends.
        await session.segmentStore();
        await reportWarm(session, version, await warm(deps, request));
      }
    });
  }
}
