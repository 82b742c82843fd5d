// (i) A namespace of 1,000,000 files: publishing from a parent, opening, lookups and a listing, as whole processes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathOf, writeNamespace } from '../harness/namespace.js';
import { quote } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { summary } from '../harness/statistics.js';

export const title = 'a namespace of 1,000,000 files: publish from a parent, open, look up, list';
/** That set its targets. */
export const issue = 5;

const FILES = 1_000_000;

export async function measure({ directory, pairs, row }) {
  await writeNamespace(join(directory, 'store'), FILES);
  const seekfs = new Seekfs(directory);
  const peakMib = (samples) => Math.max(...samples.map((sample) => sample.peakBytes)) / 2 ** 20;
  const time = (name, samples, atMost) =>
    row({
      name,
      unit: 'ms',
      ...summary(samples.map((sample) => sample.wallMs)),
      target: { atMost },
      detail: { cpuSeconds: samples[0].cpuSeconds, peakMib: peakMib(samples) },
    });
  const memory = (name, samples, atMost) => row({ name, unit: 'MiB', result: peakMib(samples), target: { atMost } });
  let round = 0;
  /** With a cache of its own: the first opening. */
  const first = (version) =>
    seekfs.run(`stat dev ${pathOf(123_456)} --at ${version}`, { cache: join(directory, `cache-${(round += 1)}`) });

  const built = [await first(1)];
  time('first stat, the index built from the JSON', built, 20_000);
  memory('peak memory of it', built, 1024);

  const added = join(directory, 'added.txt');
  writeFileSync(added, 'one more file\n');
  const published = [await seekfs.run(`put dev ${quote(added)}`)];
  time('put of one file more, published from the parent', published, 60_000);
  memory('peak memory of that', published, 1024);

  const fetched = [];
  for (let index = 0; index < pairs; index += 1) fetched.push(await first(2));
  time('first stat, with the published index', fetched, 2000);

  const cache = join(directory, 'cache-later');
  await seekfs.run(`stat dev ${pathOf(1)}`, { cache });
  const [lookups, listings] = [[], []];
  for (let index = 0; index < pairs * 2; index += 1) {
    lookups.push(await seekfs.run(`stat dev ${pathOf(index * 77_777)}`, { cache }));
    listings.push(await seekfs.run('ls dev d0500/', { cache, into: 'wc -l' }));
  }
  if (Number(listings[0].stdout) !== 1000) throw new Error(`ls printed ${listings[0].stdout} lines`);
  time('stat in a later process', lookups, 150);
  time('ls of a prefix with 1,000 entries', listings, 250);
}
