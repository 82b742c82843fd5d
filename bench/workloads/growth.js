// How cost grows with the files of a namespace, each of one page that is warm in the cache: time and memory of opening, a
// lookup, a listing, a read, publishing, warming and gc, as whole processes. The slope on log-log paper is the figure: 0 is
// constant, 1 is linear. The slope of the last decade is given too, since start-up hides what small counts cost.
// Draws docs/images/growth.svg.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FILE_BYTES, pathOf, writeNamespace } from '../harness/namespace.js';
import { writeLogLogPlot } from '../harness/plot.js';
import { quote } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { logLogSlope, median } from '../harness/statistics.js';

export const title = 'cost growth with the files (one page each) of a namespace: 10³, 10⁴, 10⁵, 10⁶';

const COUNTS = [1000, 10_000, 100_000, 1_000_000];
const CONFIG = '[cache]\nl2_ssd_gib = 8\n';
const ROUNDS = 3;

/** @returns {Promise<Record<string, { wallMs: number, peakBytes: number }>>} by operation */
async function measureAt(directory, count) {
  await writeNamespace(join(directory, 'store'), count);
  const seekfs = new Seekfs(directory, { config: CONFIG });
  const cache = join(directory, 'cache');
  const added = join(directory, 'added.txt');
  writeFileSync(added, 'one more file\n');
  const samples = { publish: await seekfs.run(`put dev ${quote(added)}`) };
  const path = (round) => pathOf(Math.floor((count * (round + 1)) / (ROUNDS + 2)));
  const inTurn = async (run) => {
    const runs = [];
    for (let round = 0; round < ROUNDS; round += 1) runs.push(await run(round));
    const of = (name) => median(runs.map((sample) => sample[name]));
    return { wallMs: of('wallMs'), peakBytes: of('peakBytes') };
  };
  samples['first open'] = await inTurn(async (round) => {
    const fresh = join(directory, `cache-${round}`);
    const sample = await seekfs.run(`stat dev ${path(round)}`, { cache: fresh });
    rmSync(fresh, { recursive: true });
    return sample;
  });
  samples.warm = await seekfs.run('warm dev', { cache });
  samples.lookup = await inTurn((round) => seekfs.run(`stat dev ${path(round)}`, { cache }));
  samples.ls = await inTurn(() => seekfs.run('ls dev d0000/', { cache, into: 'wc -l' }));
  samples.read = await inTurn(async (round) => {
    const sample = await seekfs.run(`cat dev ${path(round)}`, { cache, into: 'wc -c' });
    if (Number(sample.stdout) !== FILE_BYTES || sample.stats.gets !== 0) throw new Error('the read was not warm');
    return sample;
  });
  samples.gc = await seekfs.run('gc dev', { cache });
  return samples;
}

export async function measure({ directory, row }) {
  const [ms, mib] = [{}, {}];
  for (const count of COUNTS) {
    const home = join(directory, String(count));
    for (const [name, { wallMs, peakBytes }] of Object.entries(await measureAt(home, count))) {
      (ms[name] ??= []).push([count, wallMs]);
      (mib[name] ??= []).push([count, peakBytes / 2 ** 20]);
    }
    rmSync(home, { recursive: true });
  }
  for (const { what, unit, series } of [
    { what: 'time', unit: 'ms', series: ms },
    { what: 'peak memory', unit: 'MiB', series: mib },
  ]) {
    for (const [name, points] of Object.entries(series)) {
      row({
        name: `slope of the ${what} of ${name}`,
        unit: 'log/log',
        result: logLogSlope(points),
        better: 'less',
        detail: {
          lastDecade: logLogSlope(points.slice(-2)),
          ...Object.fromEntries(points.map(([count, value]) => [`${count} files, ${unit}`, value])),
        },
      });
    }
  }
  writeLogLogPlot(fileURLToPath(new URL('../../docs/images/growth.svg', import.meta.url)), {
    x: 'files in the namespace, one page each',
    panels: [
      { y: 'ms, whole process', series: ms },
      { y: 'MiB, peak of the process', series: mib },
    ],
  });
}
