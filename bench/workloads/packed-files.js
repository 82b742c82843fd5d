// (f) Many small files in tar shards: put --pack, then all of them read in order and shuffled, and warmed; what the store
// is asked for. One run each: the counts are what matters, and they are deterministic. Unpacked beside it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom, writeSeededTree } from '../harness/data.js';
import { quote } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';

export const title = '100,000 files of 4 KiB packed into shards, on the directory store; 2,000 unpacked';

const FILES = 100_000;
const SHUFFLED = 10_000;
/** What one window of a readv holds, so that all of it can be planned together. */
const PLANNED = 500;
const UNPACKED = 2000;
const FILE_BYTES = 4096;
/** The defaults of `s3.range_coalesce_gap_kib` and `s3.range_coalesce_max_mib`. */
const [GAP_BYTES, GET_BYTES_MAX] = [256 * 1024, 32 * 2 ** 20];

function shuffled(values) {
  const random = seededRandom(11);
  return values
    .map((value) => ({ value, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** The fewest GETs that bring them: in the order of an object, a new one only where the gap or the bound wants it. */
function fewestGets(manifest, paths) {
  const wanted = new Set(paths);
  const places = manifest.files
    .filter(({ path }) => wanted.has(path))
    .map(({ storage }) => storage)
    .sort((a, b) => (a.key === b.key ? a.off - b.off : a.key < b.key ? -1 : 1));
  let gets = 0;
  let current = { key: undefined, begin: 0, end: 0 };
  for (const { key, off } of places) {
    const end = off + FILE_BYTES;
    const joins = key === current.key && off - current.end <= GAP_BYTES && end - current.begin <= GET_BYTES_MAX;
    if (!joins) gets += 1;
    current = { key, begin: joins ? current.begin : off, end };
  }
  return gets;
}

export async function measure({ directory, row }) {
  const tree = join(directory, 'tree');
  const paths = writeSeededTree(tree, { files: FILES, bytes: FILE_BYTES, seed: 200 });
  const seekfs = new Seekfs(directory);
  const put = await seekfs.run(`put packed ${quote(`${tree}/`)} --pack`);
  row({ name: 'put --pack', unit: 'ms', result: put.wallMs, better: 'less', detail: { puts: put.stats.puts } });

  let round = 0;
  /** All the paths by one readv; with a cache of its own unless one is given. */
  const read = async (ns, order, cache = join(directory, `cache-${(round += 1)}`)) => {
    const list = join(directory, `order-${(round += 1)}.json`);
    writeFileSync(list, JSON.stringify(order.map((path) => ({ path, off: 0, len: FILE_BYTES }))));
    const sample = await seekfs.run(`readv ${ns} --file ${quote(list)}`, { cache, into: 'wc -c' });
    if (Number(sample.stdout) !== order.length * FILE_BYTES) throw new Error('the readv was short');
    return { sample, cache };
  };
  const report = (name, { sample }, { files, atMost }) => {
    const { gets, get_bytes: getBytes } = sample.stats;
    row({
      name: `GETs a file, ${name}`,
      unit: 'requests',
      result: gets / files,
      ...(atMost === undefined ? { better: 'less' } : { target: { atMost } }),
      detail: { gets, wallMs: sample.wallMs, peakMib: sample.peakBytes / 2 ** 20 },
    });
    row({
      name: `bytes from the store / bytes asked for, ${name}`,
      unit: 'ratio',
      result: getBytes / (files * FILE_BYTES),
      better: 'less',
    });
  };
  const all = { files: FILES };
  report('packed, cold, in order', await read('packed', paths), { ...all, atMost: 0.01 });
  const some = shuffled(paths).slice(0, SHUFFLED);
  report('packed, cold, one in ten, shuffled', await read('packed', some), { files: SHUFFLED });
  const together = some.slice(0, PLANNED);
  const { sample: planned } = await read('packed', together);
  const manifest = JSON.parse((await seekfs.run('manifest show packed --json')).stdout);
  row({
    name: `GETs of a cold readv of ${PLANNED} packed files, shuffled / the fewest possible`,
    unit: 'ratio',
    result: planned.stats.gets / fewestGets(manifest, together),
    target: { atMost: 1 },
    detail: { gets: planned.stats.gets },
  });
  const cache = join(directory, 'cache-warmed');
  report('packed, warm', { sample: await seekfs.run('warm packed', { cache }) }, all);
  report('packed, read after it', await read('packed', shuffled(paths), cache), { ...all, atMost: 0 });

  const few = join(directory, 'few');
  const fewPaths = writeSeededTree(few, { files: UNPACKED, bytes: FILE_BYTES, seed: 200 });
  await seekfs.run(`put unpacked ${quote(`${few}/`)}`);
  report('unpacked, cold, in order', await read('unpacked', fewPaths), { files: UNPACKED });
  await seekfs.run(`put few ${quote(`${few}/`)} --pack`);
  for (const [ns, name] of [
    ['few', 'packed, get of the tree'],
    ['unpacked', 'unpacked, get of the tree'],
  ]) {
    const sample = await seekfs.run(`get ${ns} ${quote(join(directory, `got-${ns}`))}`, {
      cache: join(directory, `cache-${ns}`),
    });
    report(name, { sample }, { files: UNPACKED });
  }
}
