// `seekfs advisor`: what an epoch will cost, planned dry.
import { string } from '@oclif/core/flags';
import { nsArg } from '../cli/arguments.ts';
import { reportEpochs } from '../cli/advisor-report.ts';
import { SeekfsCommand } from '../cli/base-command.ts';
import { readExtents } from '../cli/extents.ts';
import { priceFlag, sizeFlag } from '../cli/flags.ts';
import { pricePer1000Gets } from '../cli/price.ts';
import { GIB } from '../lib/base/units.ts';
import { planEpoch, wholeFiles } from '../lib/maintain/advisor.ts';

export default class Advisor extends SeekfsCommand {
  static override summary = 'plan an epoch dry: its GETs, bytes, seconds and money';
  static override description = `Reads the manifest, sends nothing else. Without --index every file is read once, from its beginning to its end, in the
manifest's order. The cache keeps what comes first and lets nothing of it go, which is what the policy "retain" does. Each
extent counts as a read by itself; batches of neighbours (readv, warm) send fewer GETs, of packed files very much fewer.`;
  static override examples = [
    '<%= config.bin %> advisor dev --cache-size 100GiB --price 0.0004',
    '<%= config.bin %> advisor dev --index epoch.jsonl',
  ];
  static override args = { ns: nsArg };
  static override flags = {
    index: string({ helpValue: 'FILE', summary: 'extents in the order of reading: a JSON array, or one a line' }),
    'cache-size': sizeFlag({
      summary: 'bytes of L2; default: the configured size, or that of the cache that is there',
    }),
    price: priceFlag({ summary: 'price of 1,000 GETs' }),
    'price-gib': priceFlag({ summary: 'price of a GiB that leaves the store' }),
    bandwidth: sizeFlag({ default: GIB, summary: 'bytes a second that the store gives' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Advisor);
    await this.work(flags, async (session) => {
      const { config, seekfs, signal } = session;
      const version = await session.pin(args.ns);
      const order = flags.index === undefined ? wholeFiles(version) : await readExtents(flags.index);
      const cacheBytes =
        flags['cache-size'] ?? config.cache.l2BytesMax ?? (await seekfs.segmentStore())?.use.capacityBytes ?? 0;
      const assumptions = {
        cacheBytes,
        getBytesMax: Math.min(config.pageSizeBytes, config.rangeCoalesceMaxBytes),
        getsPerSecond: config.store.kind === 's3' ? config.store.s3.getBudgetPerSec : Infinity,
        bytesPerSecond: flags.bandwidth,
        pricePer1000Gets: flags.price ?? pricePer1000Gets(config),
        pricePerGib: flags['price-gib'],
      };
      await reportEpochs(session, version, assumptions, await planEpoch(version, order, assumptions, signal));
    });
  }
}
