// (b) and (d) Random reads of one file on an S3 server: `serve` against s3fs and rclone mount with their caches, warm
// and cold, with the requests that each sends.
import { join } from 'node:path';
import { startCountingProxy } from '../harness/counting-proxy.js';
import { seededRandom, writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { mountRclone, mountS3fs, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { readAtRandom as readProcess } from '../harness/reading.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'random reads of a 128 MiB file on an S3 server: serve, s3fs, rclone mount';
/** That set its targets. */
export const issue = 7;

const BYTES = 128 * 2 ** 20;
const KEY = 'namespaces/dev/files/big.bin';
const COLD_READS = 100;

const readAtRandom = (options) => readProcess({ fileBytes: BYTES, seed: 1, ...options });

export async function measure({ directory, pairs, row, part }) {
  const origin = await s3Origin('seekfs-bench-random');
  const proxy = await startCountingProxy(origin.endpoint);
  const counted = { ...origin, endpoint: proxy.endpoint };
  try {
    const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 3 });
    await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${KEY}`, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');

    const seekfs = new Seekfs(directory, { s3: counted });
    const random = seededRandom(9);
    const extents = Array.from(
      { length: COLD_READS },
      () => `big.bin:${Math.floor(random() * (BYTES - 2 ** 17))}:102400`,
    );
    const vectored = await seekfs.run(`readv dev ${extents.join(' ')}`, {
      cache: join(directory, 'readv'),
      into: 'wc -c',
    });
    row({
      name: `GETs of a cold readv of ${COLD_READS} × 100 KiB`,
      unit: 'requests',
      result: vectored.stats.gets,
      better: 'less',
    });
    row({
      name: 'bytes from the server for it / bytes asked for',
      unit: 'ratio',
      result: vectored.stats.get_bytes / (COLD_READS * 102_400),
      better: 'less',
    });

    for (const { name, mount } of [
      { name: 's3fs', mount: mountS3fs },
      { name: 'rclone mount', mount: mountRclone },
    ]) {
      await part(async () => {
        // A cache of its own for each, so that the first reads are cold.
        const server = await seekfs.serve({ cache: join(directory, `cache-${name}`) });
        try {
          await against({
            name,
            mount,
            url: `${server.url}/blob?ns=dev&path=big.bin`,
            directory,
            counted,
            proxy,
            pairs,
            row,
          });
        } finally {
          await server.stop();
        }
      });
    }
  } finally {
    await proxy.stop();
    await origin.remove();
  }
}

/** The requests of the same reads by a server that fetches whole pages. */
async function largeQuantum({ directory, name, counted, proxy, cold }) {
  const config = '[read]\nfetch_quantum_kib = 8192\n';
  const seekfs = new Seekfs(join(directory, `quantum-${name}`), { s3: counted, config });
  const server = await seekfs.serve({ cache: join(directory, `cache-quantum-${name}`) });
  try {
    proxy.take();
    await readAtRandom({ ...cold, url: `${server.url}/blob?ns=dev&path=big.bin` });
    return proxy.take();
  } finally {
    await server.stop();
  }
}

async function against({ name, mount, url, directory, counted, proxy, pairs, row }) {
  const mounted = await mount(join(directory, name.replace(' ', '-')), counted);
  const path = join(mounted.path, KEY);
  try {
    proxy.take();
    const cold = { bytes: 100 * 1024, clients: 1, reads: COLD_READS, seed: name.length };
    await readAtRandom({ ...cold, url });
    const ours = proxy.take();
    await readAtRandom({ ...cold, path });
    const theirs = proxy.take();
    row({
      name: `GETs of ${COLD_READS} cold reads of 100 KiB / ${name}`,
      unit: 'ratio',
      result: ours.GET / theirs.GET,
      ...(name === 's3fs' ? { target: { atMost: 0.5 } } : { better: 'less' }),
      detail: { ours, theirs },
    });
    row({
      name: `requests of any kind for them / ${name}`,
      unit: 'ratio',
      result: (ours.GET + ours.HEAD) / (theirs.GET + theirs.HEAD),
      better: 'less',
    });
    row({
      name: `bytes from the server for them / ${name}`,
      unit: 'ratio',
      result: ours.bodyBytes / theirs.bodyBytes,
      better: 'less',
    });

    const large = await largeQuantum({ directory, name, counted, proxy, cold });
    row({
      name: `GETs of them, read.fetch_quantum_kib of a page / ${name}`,
      unit: 'ratio',
      result: large.GET / theirs.GET,
      better: 'less',
      detail: { ours: large },
    });

    await run(`cat ${quote(path)} | wc -c; curl -sf ${quote(url)} | wc -c`);
    for (const [bytes, clients] of [
      [4096, 1],
      [4096, 16],
      [100 * 1024, 4],
      [256 * 1024, 4],
    ]) {
      const reads = 400;
      const measured = await alternate(
        { pairs },
        () => readAtRandom({ bytes, clients, reads, url }),
        () => readAtRandom({ bytes, clients, reads, path }),
      );
      row({
        name: `p95 of warm ${bytes / 1024} KiB reads, ${clients} at once / ${name}`,
        unit: 'ratio',
        ...ratioOf(measured, (sample) => sample.p95Ms),
        target: { atMost: name === 's3fs' ? 0.5 : 1 },
        detail: {
          p95Ms: median(measured.a.map((sample) => sample.p95Ms)),
          peerP95Ms: median(measured.b.map((sample) => sample.p95Ms)),
          p50Ms: median(measured.a.map((sample) => sample.p50Ms)),
          peerP50Ms: median(measured.b.map((sample) => sample.p50Ms)),
        },
      });
    }
  } finally {
    await mounted.stop();
  }
}
