// (a) A whole file out of the warm L2 into `wc -c`, against plain readers of the same bytes in the page cache.
import { join } from 'node:path';
import { writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'cat of a warm 1 GiB file into wc -c';
/** That set its targets. */
export const issue = 2;

const BYTES = 2 ** 30;

export async function measure({ directory, pairs, row }) {
  const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 1 });
  const seekfs = new Seekfs(directory);
  const cache = join(directory, 'cache');
  await seekfs.run(`put dev ${quote(file)}`, { cache });
  const first = await seekfs.run('cat dev big.bin', { cache, into: 'wc -c' });
  row({ name: 'GETs of the first, cold cat', unit: 'requests', result: first.stats.gets, better: 'less' });

  const peers = [
    [`cat`, `cat ${quote(file)}`, 0.5],
    [`dd bs=1M`, `dd if=${quote(file)} bs=1M status=none`],
    [`sha256sum (both through it)`, `cat ${quote(file)}`, undefined, 'sha256sum'],
  ];
  for (const [name, line, atLeast, into = 'wc -c'] of peers) {
    const measured = await alternate(
      { pairs },
      () => run(`${line} | ${into}`),
      async () => {
        const sample = await seekfs.run('cat dev big.bin --at 1', { cache, into });
        if (sample.stats.gets !== 0) throw new Error(`the warm cat sent ${sample.stats.gets} GETs`);
        return sample;
      },
    );
    row({
      name: `throughput / ${name}`,
      unit: 'ratio',
      ...ratioOf(measured, (sample) => sample.wallMs),
      ...(atLeast ? { target: { atLeast } } : { better: 'more' }),
      detail: {
        mibPerSecond: BYTES / 2 ** 20 / (median(measured.b.map((sample) => sample.wallMs)) / 1000),
        peerMibPerSecond: BYTES / 2 ** 20 / (median(measured.a.map((sample) => sample.wallMs)) / 1000),
        cpuSeconds: median(measured.b.map((sample) => sample.cpuSeconds)),
        peerCpuSeconds: median(measured.a.map((sample) => sample.cpuSeconds)),
      },
    });
    if (name !== 'cat') continue;
    const peakMib = Math.max(...measured.b.map((sample) => sample.peakBytes)) / 2 ** 20;
    row({ name: 'peak memory', unit: 'MiB', result: peakMib, target: { atMost: 256 } });
  }
}
