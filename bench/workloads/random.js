// (b) Warm random reads of one file of an S3 server: `serve` against s3fs and rclone mount, each out of its own cache. The
// mounts reach the server directly here; what is asked of it, cold, is in `cold-random`.
import { join } from 'node:path';
import { writeSeededFile } from '../harness/data.js';
import { mountRclone, mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { readAtRandom } from '../harness/reading.js';
import { Seekfs } from '../harness/seekfs.js';
import { median, summary } from '../harness/statistics.js';

export const title =
  'warm random reads of a 128 MiB file: serve with two workers, s3fs and rclone mount with their caches';
/** That set its targets. */
export const issue = 7;

const BYTES = 128 * 2 ** 20;
const KEY = 'namespaces/dev/files/big.bin';
const KIB = 1024;
/** The processes are new for each sample: their first reads compile code and open connections. */
const READS = { fileBytes: BYTES, seed: 1, reads: 400, warmUps: 200 };
const PEERS = [
  { name: 's3fs', mount: mountS3fs, atMost: 0.5 },
  { name: 'rclone mount', mount: mountRclone, atMost: 1 },
];

export async function measure({ directory, pairs, row, part }) {
  const origin = await s3Origin('seekfs-bench-random');
  const undo = [origin.remove];
  try {
    const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 3 });
    await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${KEY}`, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
    const server = await new Seekfs(directory, { s3: origin }).serve({ cache: join(directory, 'cache'), workers: 2 });
    undo.unshift(server.stop);
    const url = `${server.url}/blob?ns=dev&path=big.bin`;
    await run(`curl -sf ${quote(url)} | wc -c`);
    const peers = [];
    for (const { name, mount, atMost } of PEERS) {
      await part(async () => {
        const mounted = await mount(join(directory, name.replace(' ', '-')), origin);
        undo.unshift(mounted.stop);
        const path = join(mounted.path, KEY);
        await run(`cat ${quote(path)} | wc -c`);
        peers.push({ name, atMost, path });
      });
    }
    // Servers and mounts run for days: their first thousand reads are not what people wait for.
    const warmUp = { ...READS, bytes: 4 * KIB, clients: 16, reads: 2000 };
    await readAtRandom({ ...warmUp, url });
    for (const { path } of peers) await readAtRandom({ ...warmUp, path });
    for (const bytes of [4 * KIB, 100 * KIB, 256 * KIB]) {
      for (const clients of [1, 4, 16]) {
        await compare({ pairs, row, url, peers, options: { ...READS, bytes, clients } });
      }
    }
    const keepOpen = { ...READS, bytes: 4 * KIB, clients: 1, keepOpen: true };
    await compare({ pairs, row, url, peers, options: keepOpen, what: ', file kept open (the kernel answers)' });
  } finally {
    for (const each of undo) await each();
  }
}

/** All in turn; the ratios are within a turn. */
async function compare({ pairs, row, url, peers, options, what = '' }) {
  const turns = [];
  for (let round = -1; round < pairs; round += 1) {
    const ours = await readAtRandom({ ...options, url });
    const turn = { ours };
    for (const { name, path } of peers) turn[name] = await readAtRandom({ ...options, path });
    if (round >= 0) turns.push(turn);
  }
  for (const { name, atMost } of peers) {
    const of = (who, field) => median(turns.map((turn) => turn[who][field]));
    row({
      name: `p95 of warm ${options.bytes / KIB} KiB reads, ${options.clients} at once${what} / ${name}`,
      unit: 'ratio',
      ...summary(turns.map((turn) => turn.ours.p95Ms / turn[name].p95Ms)),
      ...(what ? { better: 'less' } : { target: { atMost } }),
      detail: {
        p95Ms: of('ours', 'p95Ms'),
        peerP95Ms: of(name, 'p95Ms'),
        p50Ms: of('ours', 'p50Ms'),
        peerP50Ms: of(name, 'p50Ms'),
        perSecond: of('ours', 'readsPerSecond'),
        peerPerSecond: of(name, 'readsPerSecond'),
      },
    });
  }
}
