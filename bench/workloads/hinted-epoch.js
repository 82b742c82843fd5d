// (d) A cold shuffled epoch over one file in an S3 server: what a loader that knows its order sends to the store through
// `serve`, by hints or by readv a batch, against s3fs with its cache. Hints are given as the epoch begins, when reads overtake
// them, or an epoch ahead. The cold single reads that nobody announced are in `cold-random`.
import { join } from 'node:path';
import { startCountingProxy } from '../harness/counting-proxy.js';
import { seededRandom, writeSeededFile } from '../harness/data.js';
import { mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { readAtRandom } from '../harness/reading.js';
import { Seekfs } from '../harness/seekfs.js';
import { summary } from '../harness/statistics.js';
import { setTimeout as sleep } from 'node:timers/promises';

export const title =
  'a cold shuffled epoch in samples of 100 KiB out of 128 MiB and of 512 MiB: GETs a read, s3fs in turn';
/** That set its targets. */
export const issue = 7;

const MIB = 2 ** 20;
const SAMPLE_BYTES = 100 * 1024;
const BATCH = 64;
const KEY = 'namespaces/dev/files/big.bin';
const POLL_MS = 50;

/** The whole file once, in an order that the seed decides. @returns {number[]} offsets */
function epochOf(fileBytes, seed) {
  const random = seededRandom(seed);
  return Array.from({ length: Math.floor(fileBytes / SAMPLE_BYTES) }, (_, sample) => ({
    off: sample * SAMPLE_BYTES,
    place: random(),
  }))
    .sort((a, b) => a.place - b.place)
    .map(({ off }) => off);
}

async function post(url, body, status) {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  if (answer.status !== status) throw new Error(`${answer.status} of ${url}: ${await answer.text()}`);
  return answer.arrayBuffer();
}

async function giveHints(url, offsets) {
  const windows = [{ path: 'big.bin', ranges: offsets.map((off) => [off, SAMPLE_BYTES]) }];
  await post(`${url}/hints?ns=dev`, { epoch: 1, windows }, 202);
}

async function readSamples(url, offsets) {
  await readAtRandom({ url: `${url}/blob?ns=dev&path=big.bin`, bytes: SAMPLE_BYTES, clients: 4, offsets });
}

async function hinted(url, offsets) {
  await giveHints(url, offsets);
  await readSamples(url, offsets);
}

/** The hints have been followed when the epoch begins. */
async function ahead(url, offsets) {
  await giveHints(url, offsets);
  const wanted = offsets.length * SAMPLE_BYTES;
  for (let fetched = 0; fetched < wanted; await sleep(POLL_MS)) {
    const text = await (await fetch(`${url}/metrics`)).text();
    fetched = Number(/^seekfs_store_get_bytes_total (\S+)$/m.exec(text)[1]);
  }
  await readSamples(url, offsets);
}

async function batched(url, offsets) {
  for (let at = 0; at < offsets.length; at += BATCH) {
    const extents = offsets.slice(at, at + BATCH).map((off) => ({ path: 'big.bin', off, len: SAMPLE_BYTES }));
    const bytes = await post(`${url}/readv?ns=dev`, extents, 200);
    if (bytes.byteLength !== extents.length * SAMPLE_BYTES) throw new Error('the readv was short');
  }
}

const HINTED = { name: 'single reads just after POST /hints', read: hinted, target: { atMost: 0.5 } };
const AHEAD = { name: 'single reads, POST /hints an epoch ahead', read: ahead, target: { atMost: 0.5 } };
const BATCHED = { name: `POST /readv of ${BATCH} samples, no hints`, read: batched };
const CASES = [
  { size: '128 MiB', fileBytes: 128 * MIB, roundsMax: 3, ways: [HINTED, AHEAD, BATCHED] },
  { size: '512 MiB', fileBytes: 512 * MIB, roundsMax: 1, ways: [HINTED, AHEAD] },
];

export async function measure({ directory, pairs, row }) {
  for (const { size, fileBytes, roundsMax, ways } of CASES) {
    const origin = await s3Origin('seekfs-bench-epoch');
    const proxy = await startCountingProxy(origin.endpoint);
    try {
      const home = join(directory, String(fileBytes));
      const file = writeSeededFile(join(home, 'big.bin'), { bytes: fileBytes, seed: 6 });
      await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${KEY}`, origin);
      await new Seekfs(join(home, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
      const rounds = Math.min(pairs, roundsMax);
      report({ size, ways, row, samples: await measureInTurn({ home, origin, proxy, fileBytes, rounds, ways }) });
    } finally {
      await proxy.stop();
      await origin.remove();
    }
  }
}

/** @returns {Promise<Record<string, object[]>>} what the proxy counted, by way, a round each */
async function measureInTurn({ home, origin, proxy, fileBytes, rounds, ways }) {
  const counted = { ...origin, endpoint: proxy.endpoint };
  const seekfs = new Seekfs(home, { s3: counted });
  const samples = { s3fs: [], ...Object.fromEntries(ways.map(({ name }) => [name, []])) };
  for (let round = 0; round < rounds; round += 1) {
    const offsets = epochOf(fileBytes, round);
    for (const [index, { name, read }] of ways.entries()) {
      const server = await seekfs.serve({ cache: join(home, `cache-${index}-${round}`) });
      proxy.take();
      try {
        await read(server.url, offsets);
      } finally {
        await server.stop();
      }
      samples[name].push(proxy.take());
    }
    const mounted = await mountS3fs(join(home, `s3fs-${round}`), counted);
    proxy.take();
    try {
      await readAtRandom({ path: join(mounted.path, KEY), bytes: SAMPLE_BYTES, clients: 4, offsets });
    } finally {
      await mounted.stop();
    }
    samples.s3fs.push(proxy.take());
  }
  return samples;
}

function report({ size, ways, samples, row }) {
  const mean = (counts, field) => counts.reduce((sum, each) => sum + each[field], 0) / counts.length;
  for (const { name, target } of ways) {
    const { [name]: ours, s3fs } = samples;
    row({
      name: `GETs a read, ${size}, ${name} / s3fs`,
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
      name: `bytes from the server, ${size}, ${name} / s3fs`,
      unit: 'ratio',
      ...summary(ours.map((counts, round) => counts.bodyBytes / s3fs[round].bodyBytes)),
      better: 'less',
    });
  }
}
