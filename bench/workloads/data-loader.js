// (j) A PyTorch DataLoader with two workers and shuffled samples: over HTTP from `serve`, over s3fs, and over local files.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSeededTree } from '../harness/data.js';
import { Missing, mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median, summary } from '../harness/statistics.js';

export const title = 'PyTorch DataLoader, 1,280 shuffled samples of 100 KiB, batches of 32, two workers; caches warm';

const LOADER = fileURLToPath(new URL('../harness/data_loader.py', import.meta.url));
const SHARD_BYTES = 16_384_000;
const SHARDS = 8;
/** What the accelerator takes for a batch, where the share of waiting is asked. */
const STEP_MS = 20;

async function needTorch() {
  // Debian's python3-torch is for Debian's Python, whatever else is on the PATH.
  for (const python of ['/usr/bin/python3', 'python3']) {
    const { stdout } = await run(`${python} -c 'import torch; print(1)'`, { allowFailure: true });
    if (stdout.trim() === '1') return python;
  }
  throw new Missing('python3-torch is not installed');
}

export async function measure({ directory, pairs, row, part }) {
  const python = await needTorch();
  const tree = join(directory, 'shards');
  const shards = writeSeededTree(tree, { files: SHARDS, bytes: SHARD_BYTES, seed: 70 });
  const origin = await s3Origin('seekfs-bench-loader');
  const files = 'namespaces/dev/files';
  const upload = `aws --endpoint-url ${origin.endpoint} s3 cp --recursive ${quote(tree)} s3://${origin.bucket}/${files}`;
  const undo = [origin.remove];
  try {
    await run(upload, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
    const server = await new Seekfs(directory, { s3: origin }).serve({ cache: join(directory, 'cache') });
    undo.unshift(server.stop);
    const { hostname: host, port } = new URL(server.url);
    const http = { host, port: Number(port) };
    const sources = { 'local files': { source: 'file', root: tree }, blob: { source: 'blob', ...http } };
    sources.readv = { source: 'readv', ...http };
    await part(async () => {
      const mounted = await mountS3fs(join(directory, 's3fs'), origin);
      undo.unshift(mounted.stop);
      sources.s3fs = { source: 'file', root: join(mounted.path, files) };
    });
    report({ row, samples: await measureInTurn({ python, sources, shards, pairs }) });
  } finally {
    for (const each of undo) await each();
  }
}

/** @returns {Promise<Record<string, { rates: number[], waits: number[] }>>} after one round that only warms the caches */
async function measureInTurn({ python, sources, shards, pairs }) {
  const samples = Object.fromEntries(Object.keys(sources).map((name) => [name, { rates: [], waits: [] }]));
  const common = { shards, shardBytes: SHARD_BYTES, sampleBytes: 102_400, batch: 32, workers: 2 };
  for (let round = 0; round <= pairs; round += 1) {
    const digests = new Set();
    for (const [name, source] of Object.entries(sources)) {
      const load = async (stepMs) => {
        const text = JSON.stringify({ ...common, ...source, stepMs, seed: round });
        return JSON.parse((await run(`${python} ${quote(LOADER)} ${quote(text)}`)).stdout);
      };
      const fast = await load(0);
      digests.add(fast.digest);
      if (round === 0) continue;
      samples[name].rates.push(fast.samplesPerSecond);
      samples[name].waits.push(100 * (await load(STEP_MS)).waitShare);
    }
    if (digests.size !== 1) throw new Error('the sources gave different bytes');
  }
  return samples;
}

function report({ row, samples }) {
  for (const [ours, name] of [
    ['blob', 'GET /blob a sample'],
    ['readv', 'POST /readv a batch'],
  ]) {
    for (const peer of ['s3fs', 'local files'].filter((each) => samples[each])) {
      const rates = samples[ours].rates;
      row({
        name: `samples a second, ${name} / ${peer}`,
        unit: 'ratio',
        ...summary(rates.map((rate, index) => rate / samples[peer].rates[index])),
        better: 'more',
        detail: { perSecond: median(rates), peerPerSecond: median(samples[peer].rates) },
      });
    }
  }
  for (const [name, { waits }] of Object.entries(samples)) {
    row({ name: `time waiting at ${STEP_MS} ms a step, ${name}`, unit: '%', ...summary(waits), better: 'less' });
  }
}
