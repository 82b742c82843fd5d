// (d) A cold shuffled epoch over one file in an S3 server: what a loader that knows its order sends to the store through
// `serve`, by hints or by readv a batch, against s3fs with its cache. This is how seekfs is meant to be read; the cold single
// reads that nobody announced are in `random`.
import { join } from 'node:path';
import { startCountingProxy } from '../harness/counting-proxy.js';
import { seededRandom, writeSeededFile } from '../harness/data.js';
import { mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { readAtRandom } from '../harness/reading.js';
import { Seekfs } from '../harness/seekfs.js';
import { summary } from '../harness/statistics.js';

export const title = 'a cold shuffled epoch of 1,310 samples of 100 KiB out of 128 MiB: GETs a read, s3fs in turn';
/** That set its targets. */
export const issue = 7;

const BYTES = 128 * 2 ** 20;
const SAMPLE_BYTES = 100 * 1024;
const SAMPLES = Math.floor(BYTES / SAMPLE_BYTES);
const BATCH = 64;
const KEY = 'namespaces/dev/files/big.bin';

/** The whole file once, in an order that the seed decides. @returns {number[]} offsets */
function epochOf(seed) {
  const random = seededRandom(seed);
  return Array.from({ length: SAMPLES }, (_, sample) => ({ off: sample * SAMPLE_BYTES, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ off }) => off);
}

async function post(url, body, status) {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  if (answer.status !== status) throw new Error(`${answer.status} of ${url}: ${await answer.text()}`);
  return answer.arrayBuffer();
}

async function hinted(url, offsets) {
  const windows = [{ path: 'big.bin', ranges: offsets.map((off) => [off, SAMPLE_BYTES]) }];
  await post(`${url}/hints?ns=dev`, { epoch: 1, windows }, 202);
  await readAtRandom({ url: `${url}/blob?ns=dev&path=big.bin`, bytes: SAMPLE_BYTES, clients: 4, offsets });
}

async function batched(url, offsets) {
  for (let at = 0; at < offsets.length; at += BATCH) {
    const extents = offsets.slice(at, at + BATCH).map((off) => ({ path: 'big.bin', off, len: SAMPLE_BYTES }));
    const bytes = await post(`${url}/readv?ns=dev`, extents, 200);
    if (bytes.byteLength !== extents.length * SAMPLE_BYTES) throw new Error('the readv was short');
  }
}

export async function measure({ directory, pairs, row }) {
  const origin = await s3Origin('seekfs-bench-epoch');
  const proxy = await startCountingProxy(origin.endpoint);
  const counted = { ...origin, endpoint: proxy.endpoint };
  try {
    const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 6 });
    await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${KEY}`, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
    const seekfs = new Seekfs(directory, { s3: counted });
    const samples = { hinted: [], batched: [], s3fs: [] };
    for (let round = 0; round < pairs; round += 1) {
      const offsets = epochOf(round);
      for (const [name, read] of Object.entries({ hinted, batched })) {
        const server = await seekfs.serve({ cache: join(directory, `cache-${name}-${round}`) });
        proxy.take();
        try {
          await read(server.url, offsets);
        } finally {
          await server.stop();
        }
        samples[name].push(proxy.take());
      }
      const mounted = await mountS3fs(join(directory, `s3fs-${round}`), counted);
      proxy.take();
      try {
        await readAtRandom({ path: join(mounted.path, KEY), bytes: SAMPLE_BYTES, clients: 4, offsets });
      } finally {
        await mounted.stop();
      }
      samples.s3fs.push(proxy.take());
    }
    report(samples, row);
  } finally {
    await proxy.stop();
    await origin.remove();
  }
}

function report(samples, row) {
  for (const { name, what, target } of [
    { name: 'hinted', what: 'single reads after POST /hints', target: { atMost: 0.5 } },
    { name: 'batched', what: `POST /readv of ${BATCH} samples, no hints` },
  ]) {
    const { [name]: ours, s3fs } = samples;
    const mean = (counts, field) => counts.reduce((sum, each) => sum + each[field], 0) / counts.length;
    row({
      name: `GETs a read, ${what} / s3fs`,
      unit: 'ratio',
      ...summary(ours.map((counts, round) => counts.GET / s3fs[round].GET)),
      ...(target ? { target } : { better: 'less' }),
      detail: {
        gets: mean(ours, 'GET'),
        peerGets: mean(s3fs, 'GET'),
        heads: mean(ours, 'HEAD'),
        peerHeads: mean(s3fs, 'HEAD'),
      },
    });
    row({
      name: `bytes from the server, ${what} / s3fs`,
      unit: 'ratio',
      ...summary(ours.map((counts, round) => counts.bodyBytes / s3fs[round].bodyBytes)),
      better: 'less',
    });
  }
}
