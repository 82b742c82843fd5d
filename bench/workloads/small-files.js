// (f) A tree of many small files, up to an S3 server and back, against rclone with as many transfers.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeSeededTree } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { need, rcloneEnv, s3Origin } from '../harness/peers.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';

export const title = '500 files of 4 KiB to an S3 server and back';
/** That set its targets. */
export const issue = 4;

const FILES = 500;

export async function measure({ directory, pairs, row }) {
  need('rclone');
  const tree = join(directory, 'tree');
  writeSeededTree(tree, { files: FILES, bytes: 4096, seed: 100 });
  const origin = await s3Origin('seekfs-bench-small');
  const env = rcloneEnv(origin);
  const seekfs = new Seekfs(directory, { s3: origin, engine: 'sdk' });
  let round = 0;
  try {
    const up = await alternate(
      { pairs, warmUps: 0 },
      () =>
        run(`rclone copy --transfers 16 --checkers 16 ${quote(tree)} o:${origin.bucket}/up-${(round += 1)}`, { env }),
      () => seekfs.run(`put n${round} ${quote(`${tree}/`)}`),
    );
    row({ name: 'put / rclone copy', unit: 'ratio', ...ratioOf(up, (sample) => sample.wallMs), better: 'more' });
    const packed = await alternate(
      { pairs, warmUps: 0 },
      () =>
        run(`rclone copy --transfers 16 --checkers 16 ${quote(tree)} o:${origin.bucket}/up-${(round += 1)}`, { env }),
      () => seekfs.run(`put p${round} ${quote(`${tree}/`)} --pack`),
    );
    row({ name: 'put --pack / rclone copy', unit: 'ratio', ...ratioOf(packed, (each) => each.wallMs), better: 'more' });
    const target = join(directory, 'back');
    const gone = (sample) => {
      rmSync(target, { recursive: true });
      return sample;
    };
    const down = await alternate(
      { pairs, warmUps: 0 },
      async () =>
        gone(await run(`rclone copy --transfers 16 --checkers 16 o:${origin.bucket}/up-1 ${quote(target)}`, { env })),
      async () =>
        gone(await seekfs.run(`get n1 ${quote(target)}`, { cache: join(directory, `cache-${(round += 1)}`) })),
    );
    row({
      name: 'get, cold / rclone copy',
      unit: 'ratio',
      ...ratioOf(down, (sample) => sample.wallMs),
      better: 'more',
    });
    row({ name: `GETs of get / file`, unit: 'requests', result: down.b[0].stats.gets / FILES, target: { atMost: 1 } });
    row({ name: 'LISTs of get', unit: 'requests', result: down.b[0].stats.lists, target: { atMost: 0 } });
  } finally {
    await origin.remove();
  }
}
