// (c) A whole file that is not cached, from an S3 server: against the tools that people use, each doing what it is compared
// with. Into `wc -c` against what writes into a pipe; dropped against a loop that drops the bytes; and dropped, with the bytes in the
// cache on the disk, against what writes them into a file on that disk.
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { need, rcloneEnv, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'cat of a cold 256 MiB file from an S3 server, and from the directory store';
/** That set its targets. */
export const issue = 4;

const BYTES = 256 * 2 ** 20;
/** As `cat` asks: parts of a cold stream, so many under way. */
const PARTS = { partBytes: 8 * 2 ** 20, inFlight: 7 };
const BARE = fileURLToPath(new URL('../harness/bare-undici.js', import.meta.url));
const KEY = 'namespaces/dev/files/big.bin';
const PIPED = { into: 'wc -c' };
const DROPPED = { dropped: true };

export async function measure({ directory, pairs, row, part }) {
  const file = writeSeededFile(join(directory, 'big.bin'), { bytes: BYTES, seed: 2 });
  await part(() => fromDirectory({ directory, row, file }));

  const origin = await s3Origin('seekfs-bench-cold');
  try {
    await run(`aws --endpoint-url ${origin.endpoint} s3 cp ${quote(file)} s3://${origin.bucket}/${KEY}`, origin);
    await new Seekfs(join(directory, 'publisher'), { s3: origin, engine: 'sdk' }).run('manifest gen dev');
    const seekfs = new Seekfs(directory, { s3: origin });
    let round = 0;
    const cold = async (options) => {
      const cache = join(directory, `cache-${(round += 1)}`);
      const sample = await seekfs.run('cat dev big.bin', { cache, ...options });
      if (options.into && Number(sample.stdout) !== BYTES) throw new Error('the cat was short');
      if (sample.stats.get_bytes !== BYTES) throw new Error('the cat was not cold');
      rmSync(cache, { recursive: true });
      return sample;
    };
    const copied = join(directory, 'copied');
    const removed = (sample) => {
      if (statSync(join(copied, 'big.bin')).size !== BYTES) throw new Error('rclone copied something else');
      rmSync(copied, { recursive: true });
      return sample;
    };
    const { env } = origin;
    const rclone = rcloneEnv(origin);
    const presign = `aws --endpoint-url ${origin.endpoint} s3 presign s3://${origin.bucket}/${KEY}`;
    const url = (await run(presign, { env })).stdout.trim();
    const bare = quote(JSON.stringify({ url, bytes: BYTES, ...PARTS }));
    const loop = () => run(`${quote(process.execPath)} ${quote(BARE)} ${bare}`);
    const copy = async () =>
      removed(
        await run(
          `rclone copy --multi-thread-cutoff 1M --multi-thread-streams 4 o:${origin.bucket}/${KEY} ${quote(copied)}`,
          { env: rclone },
        ),
      );
    const aws = `aws --endpoint-url ${origin.endpoint} s3 cp --only-show-errors s3://${origin.bucket}/${KEY}`;
    const peers = [
      {
        name: 'a bare undici loop over the same ranges, both drop the bytes',
        program: 'aws',
        output: DROPPED,
        atLeast: 0.95,
        peer: loop,
      },
      { name: 'the same loop, seekfs into a pipe', program: 'aws', output: PIPED, peer: loop },
      {
        name: 'rclone copy --multi-thread-streams 4, one into a file, one into its cache',
        program: 'rclone',
        output: DROPPED,
        atLeast: 1,
        peer: copy,
      },
      { name: 'the same rclone copy, seekfs into a pipe', program: 'rclone', output: PIPED, peer: copy },
      {
        name: 'rclone cat',
        program: 'rclone',
        output: PIPED,
        peer: () => run(`rclone cat o:${origin.bucket}/${KEY} | wc -c`, { env: rclone }),
      },
      {
        name: 'aws s3 cp, both into a pipe',
        program: 'aws',
        output: PIPED,
        atLeast: 2,
        peer: () => run(`${aws} - | wc -c`, { env }),
      },
      {
        name: 'aws s3 cp, one into a file, one into its cache',
        program: 'aws',
        output: DROPPED,
        atLeast: 2,
        peer: async () => removed(await run(`${aws} ${quote(join(copied, 'big.bin'))}`, { env })),
      },
    ];
    for (const { name, program, output, atLeast, peer } of peers) {
      await part(async () => {
        need(program);
        const measured = await alternate({ pairs }, peer, () => cold(output));
        row({
          name: `throughput from S3 / ${name}`,
          unit: 'ratio',
          ...ratioOf(measured, (sample) => sample.wallMs),
          ...(atLeast ? { target: { atLeast } } : { better: 'more' }),
          detail: {
            wallMs: median(measured.b.map((sample) => sample.wallMs)),
            peerWallMs: median(measured.a.map((sample) => sample.wallMs)),
            cpuSeconds: median(measured.b.map((sample) => sample.cpuSeconds)),
            peerCpuSeconds: median(measured.a.map((sample) => sample.cpuSeconds)),
            gets: median(measured.b.map((sample) => sample.stats.gets)),
          },
        });
        if (name !== 'rclone cat') return;
        const peakMib = Math.max(...measured.b.map((sample) => sample.peakBytes)) / 2 ** 20;
        row({ name: 'peak memory from S3', unit: 'MiB', result: peakMib, issue: 2, target: { atMost: 320 } });
        const gets = measured.b[0].stats.gets;
        row({ name: 'GETs from S3', unit: 'requests', result: gets, better: 'less' });
      });
    }
  } finally {
    await origin.remove();
  }
}

async function fromDirectory({ directory, row, file }) {
  const seekfs = new Seekfs(join(directory, 'embedded'));
  await seekfs.run(`put dev ${quote(file)}`);
  const cold = await seekfs.run('cat dev big.bin', { cache: join(directory, 'embedded-cache'), ...PIPED });
  const peakMib = cold.peakBytes / 2 ** 20;
  row({
    name: 'peak memory from the directory store',
    unit: 'MiB',
    result: peakMib,
    issue: 2,
    target: { atMost: 320 },
  });
}
