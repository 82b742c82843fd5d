// (c) and (d) Cold reads from the in-process origin at a distance: with latency, with a limited bandwidth, with faults.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeSeededFile } from '../harness/data.js';
import { publishTo, startOrigin } from '../harness/origin.js';
import { Seekfs } from '../harness/seekfs.js';
import { summary } from '../harness/statistics.js';

export const title = 'cat of a cold 128 MiB file from the in-process origin: latency, bandwidth, faults';

const BYTES = 128 * 2 ** 20;
const CONDITIONS = [
  { name: 'no latency', conditions: {} },
  { name: '25 ms', conditions: { latencyMs: 25 } },
  { name: '100 ms', conditions: { latencyMs: 100 } },
  { name: '25 ms and 100 MiB/s', conditions: { latencyMs: 25, bytesPerSecond: 100 * 2 ** 20 } },
  { name: '25 ms and one 503 in ten', conditions: { latencyMs: 25, faultShare: 0.1 } },
];

export async function measure({ directory, pairs, row }) {
  await publishTo(directory, [writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 5 })]);
  for (const { name, conditions } of CONDITIONS) {
    const origin = await startOrigin(directory, conditions);
    try {
      const seekfs = new Seekfs(directory, { s3: origin });
      const rates = [];
      let counts;
      for (let round = 0; round <= pairs; round += 1) {
        const cache = join(directory, 'cache');
        origin.take();
        const sample = await seekfs.run('cat dev big.bin', { cache, into: 'wc -c' });
        if (Number(sample.stdout) !== BYTES) throw new Error('the cat was short');
        rmSync(cache, { recursive: true });
        if (round === 0) continue;
        rates.push(BYTES / 2 ** 20 / (sample.wallMs / 1000));
        counts = origin.take();
      }
      row({ name: `whole process, ${name}`, unit: 'MiB/s', ...summary(rates), better: 'more', detail: counts });
      const amplification = counts.bodyBytes / BYTES;
      row({
        name: `bytes from the origin / bytes of the file, ${name}`,
        unit: 'ratio',
        result: amplification,
        better: 'less',
      });
    } finally {
      await origin.stop();
    }
  }
}
