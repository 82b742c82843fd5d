// How cost grows with the number of files of a namespace: publishing, first opening, a lookup and a listing, as whole
// processes. The slope on log-log paper is the figure: 0 is constant, 1 is linear. Draws growth.svg beside the results.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeLogLogPlot } from '../harness/plot.js';
import { Seekfs } from '../harness/seekfs.js';
import { logLogSlope, median } from '../harness/statistics.js';

export const title = 'cost growth with the files of a namespace (10², 10³, 10⁴)';

const COUNTS = [100, 1000, 10_000];

export async function measure({ directory, pairs, row }) {
  const series = { 'manifest gen': [], 'first stat': [], 'later stat': [], 'ls of 100 files': [] };
  const peakMib = { 'manifest gen': [], 'later stat': [] };
  for (const count of COUNTS) {
    const home = join(directory, String(count));
    const files = join(home, 'store/namespaces/dev/files');
    for (let index = 0; index < count; index += 1) {
      const path = join(files, `d${Math.floor(index / 100)}`, `${index}.txt`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `file ${index}\n`);
    }
    const seekfs = new Seekfs(home);
    const cache = join(home, 'cache');
    const generated = await seekfs.run('manifest gen dev', { cache });
    rmSync(cache, { recursive: true, force: true });
    const stat = () => seekfs.run('stat dev d0/7.txt', { cache });
    const first = await stat();
    const [later, listed] = [[], []];
    for (let round = 0; round < pairs; round += 1) {
      later.push(await stat());
      listed.push(await seekfs.run('ls dev d0/', { cache }));
    }
    series['manifest gen'].push([count, generated.wallMs]);
    series['first stat'].push([count, first.wallMs]);
    series['later stat'].push([count, median(later.map((sample) => sample.wallMs))]);
    series['ls of 100 files'].push([count, median(listed.map((sample) => sample.wallMs))]);
    peakMib['manifest gen'].push([count, generated.peakBytes / 2 ** 20]);
    peakMib['later stat'].push([count, Math.max(...later.map((sample) => sample.peakBytes)) / 2 ** 20]);
  }
  const add = (name, points, unit) =>
    row({
      name: `slope of ${name}`,
      unit: 'log/log',
      result: logLogSlope(points),
      better: 'less',
      detail: Object.fromEntries(points.map(([count, value]) => [`${count} files, ${unit}`, value])),
    });
  for (const [name, points] of Object.entries(series)) add(`the time of ${name}`, points, 'ms');
  for (const [name, points] of Object.entries(peakMib)) add(`the peak memory of ${name}`, points, 'MiB');
  const svg = fileURLToPath(new URL('../results/growth.svg', import.meta.url));
  writeLogLogPlot(svg, { x: 'files in the namespace', y: 'ms, whole process', series });
}
