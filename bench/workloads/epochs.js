// (e) Shuffled epochs over shards with the cache at half, once and twice the data: what the store is asked for, by the
// counters of `serve`. Deterministic but for which pages the first epoch stored.
import { join } from 'node:path';
import { seededRandom, writeSeededTree } from '../harness/data.js';
import { quote } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';

export const title = 'shuffled epochs over 128 MiB of shards (128 pages of 1 MiB), L1 off';
/** That set its targets. */
export const issue = 3;

const PAGE_BYTES = 2 ** 20;
const EPOCHS = 5;
const SAMPLE_BYTES = 100 * 1024;

async function counter(url, name) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
}

async function readBlob(url, path, { off, len }) {
  const answer = await fetch(`${url}/blob?ns=dev&path=${path}&off=${off}&len=${len}`);
  if ((await answer.arrayBuffer()).byteLength !== len) throw new Error('a short answer');
}

export async function measure({ directory, row }) {
  const tree = join(directory, 'shards');
  const shards = writeSeededTree(tree, { files: 16, bytes: 8 * PAGE_BYTES, seed: 50 });
  const dataBytes = shards.length * 8 * PAGE_BYTES;
  const publisher = new Seekfs(directory);
  await publisher.run(`put dev ${quote(`${tree}/`)} --page-size 1MiB`);
  for (const [share, atLeast] of [
    [0.5, 49],
    [1.1, 99],
    [2, 99],
  ]) {
    const config = `[cache]\nl1_memory_gib = 0\nl2_ssd_gib = ${(dataBytes * share) / 2 ** 30}\n`;
    const seekfs = new Seekfs(join(directory, `at-${share}`), { config, store: join(directory, 'store') });
    const server = await seekfs.serve({ cache: join(directory, `cache-${share}`) });
    try {
      const random = seededRandom(1);
      const pages = shards.flatMap((path) => Array.from({ length: 8 }, (_, page) => [path, page * PAGE_BYTES]));
      const bytesOfEpochs = [];
      for (let epoch = 0; epoch < EPOCHS; epoch += 1) {
        const before = await counter(server.url, 'seekfs_store_get_bytes_total');
        const order = pages.map((page) => [random(), page]).sort(([a], [b]) => a - b);
        for (const [, [path, off]] of order) {
          await readBlob(server.url, path, { off, len: PAGE_BYTES });
        }
        bytesOfEpochs.push((await counter(server.url, 'seekfs_store_get_bytes_total')) - before);
      }
      const later = bytesOfEpochs.slice(2);
      const fetched = later.reduce((sum, bytes) => sum + bytes, 0) / later.length;
      row({
        name: `hits from the third epoch on, cache of ${share} × the data`,
        unit: '%',
        result: 100 * (1 - fetched / dataBytes),
        target: { atLeast },
        detail: { fetchedMibOfEpochs: bytesOfEpochs.map((bytes) => bytes / 2 ** 20) },
      });
    } finally {
      await server.stop();
    }
  }
  await measureAmplification({ directory, shards, dataBytes, row });
}

/** 100 KiB reads at random, the cache half the data: epochs of as many bytes as there are. */
async function measureAmplification({ directory, shards, dataBytes, row }) {
  const config = `[cache]\nl1_memory_gib = 0\nl2_ssd_gib = ${dataBytes / 2 / 2 ** 30}\n`;
  const seekfs = new Seekfs(join(directory, 'samples'), { config, store: join(directory, 'store') });
  const server = await seekfs.serve({ cache: join(directory, 'cache-samples') });
  try {
    const random = seededRandom(2);
    const reads = Math.floor(dataBytes / SAMPLE_BYTES);
    const ratios = [];
    for (let epoch = 0; epoch < EPOCHS; epoch += 1) {
      const before = await counter(server.url, 'seekfs_store_get_bytes_total');
      for (let read = 0; read < reads; read += 1) {
        const path = shards[Math.floor(random() * shards.length)];
        const off = Math.floor(random() * (8 * PAGE_BYTES - SAMPLE_BYTES));
        await readBlob(server.url, path, { off, len: SAMPLE_BYTES });
      }
      const fetched = (await counter(server.url, 'seekfs_store_get_bytes_total')) - before;
      ratios.push(fetched / (reads * SAMPLE_BYTES));
    }
    const later = ratios.slice(2);
    row({
      name: 'bytes from the store / bytes asked for, random 100 KiB, cache of 0.5 × the data, from the third epoch on',
      unit: 'ratio',
      result: later.reduce((sum, ratio) => sum + ratio, 0) / later.length,
      issue: 4,
      target: { atMost: 2 },
      detail: { ofEpochs: ratios },
    });
  } finally {
    await server.stop();
  }
}
