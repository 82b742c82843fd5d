// (d) Cold random reads of 100 KiB that nobody announced: what seekfs asks the S3 server for, by single reads and by readv,
// against s3fs and rclone mount. Counted by a proxy, so exact but for how a peer's threads meet. The answer depends on how much
// data there is a read: a miss of s3fs brings about 50 MiB in parts of 10, so of a small file a few misses bring everything.
import { join } from 'node:path';
import { rmSync } from 'node:fs';
import { startCountingProxy } from '../harness/counting-proxy.js';
import { seededRandom, writeSeededFile } from '../harness/data.js';
import { mountRclone, mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { readAtRandom } from '../harness/reading.js';
import { Seekfs } from '../harness/seekfs.js';

export const title = 'cold random reads of 100 KiB out of 2 GiB and out of 128 MiB: what the server is asked for';
/** That set its targets. */
export const issue = 7;

const SAMPLE_BYTES = 100 * 1024;
const MIB = 2 ** 20;
const CASES = [
  { name: '2 GiB', fileBytes: 2048 * MIB, reads: 50 },
  { name: '128 MiB', fileBytes: 128 * MIB, reads: 100 },
];
/** `read.fetch_quantum_kib`: a granule is the default, a page the most. */
const QUANTA_KIB = [128, 1024, 8192];
const PEERS = [
  { name: 's3fs', mount: mountS3fs, target: { atMost: 0.5 } },
  { name: 'rclone mount', mount: mountRclone },
];

export async function measure({ directory, row, part }) {
  for (const each of CASES) {
    const origin = await s3Origin('seekfs-bench-cold-random');
    const proxy = await startCountingProxy(origin.endpoint);
    const home = join(directory, String(each.fileBytes));
    try {
      await measureCase({ ...each, directory: home, origin, proxy, row, part });
    } finally {
      await proxy.stop();
      await origin.remove();
      rmSync(home, { recursive: true, force: true });
    }
  }
}

async function measureCase({ name, fileBytes, reads, directory, origin, proxy, row, part }) {
  const file = writeSeededFile(join(directory, 'big.bin'), { bytes: fileBytes, seed: 3 });
  const key = 'namespaces/dev/files/big.bin';
  await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${key}`, origin);
  rmSync(file);
  await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
  const counted = { ...origin, endpoint: proxy.endpoint };
  const random = seededRandom(9);
  const offsets = Array.from({ length: reads }, () => Math.floor(random() * (fileBytes - SAMPLE_BYTES)));
  const asked = { bytes: SAMPLE_BYTES, clients: 1, offsets };
  /** A read each, and once more when they are warm. */
  const count = async (source) => {
    proxy.take();
    await readAtRandom({ ...asked, ...source });
    const cold = proxy.take();
    await readAtRandom({ ...asked, ...source });
    return { cold, warm: proxy.take() };
  };
  const say = (who, { GET, HEAD, bodyBytes }, detail) => {
    row({ name: `GETs a read, ${name}, ${who}`, unit: 'requests', result: GET / reads, better: 'less', detail });
    row({ name: `heads a read, ${name}, ${who}`, unit: 'requests', result: HEAD / reads, better: 'less' });
    const ratio = bodyBytes / (reads * SAMPLE_BYTES);
    row({ name: `bytes a byte asked for, ${name}, ${who}`, unit: 'ratio', result: ratio, better: 'less' });
  };

  const ours = {};
  for (const quantumKib of QUANTA_KIB) {
    const seekfs = new Seekfs(join(directory, `quantum-${quantumKib}`), {
      s3: counted,
      config: `[read]\nfetch_quantum_kib = ${quantumKib}\n`,
    });
    const server = await seekfs.serve({ cache: join(directory, `cache-${quantumKib}`) });
    try {
      ours[quantumKib] = await count({ url: `${server.url}/blob?ns=dev&path=big.bin` });
    } finally {
      await server.stop();
    }
    say(`seekfs, fetch quantum ${quantumKib} KiB`, ours[quantumKib].cold, ours[quantumKib]);
  }
  const extents = offsets.map((off) => `big.bin:${off}:${SAMPLE_BYTES}`).join(' ');
  proxy.take();
  const cache = join(directory, 'cache-readv');
  await new Seekfs(join(directory, 'readv'), { s3: counted }).run(`readv dev ${extents}`, { cache, into: 'wc -c' });
  const vectored = proxy.take();
  say('seekfs readv of them all', vectored);

  for (const { name: peer, mount, target } of PEERS) {
    await part(async () => {
      const mounted = await mount(join(directory, peer.replace(' ', '-')), counted);
      let theirs;
      try {
        theirs = await count({ path: join(mounted.path, key) });
      } finally {
        await mounted.stop();
      }
      say(peer, theirs.cold, theirs);
      const [single] = QUANTA_KIB;
      row({
        name: `GETs of ${reads} cold reads out of ${name} / ${peer}`,
        unit: 'ratio',
        result: ours[single].cold.GET / theirs.cold.GET,
        ...(target ? { target } : { better: 'less' }),
      });
      row({
        name: `GETs of a readv of them out of ${name} / ${peer}`,
        unit: 'ratio',
        result: vectored.GET / theirs.cold.GET,
        better: 'less',
      });
    });
  }
}
