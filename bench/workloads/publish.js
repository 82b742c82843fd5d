// (g) put, manifest gen and warm of a tree, against the tools that do parts of it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeSeededTree } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'put, manifest gen and warm of a tree of 2 GiB (256 files of 8 MiB)';
/** That set its targets. */
export const issue = 5;

export async function measure({ directory, pairs, row }) {
  const tree = join(directory, 'tree');
  writeSeededTree(tree, { files: 256, bytes: 8 * 2 ** 20, seed: 10 });
  const compare = (name, measured, atLeast) =>
    row({
      name,
      unit: 'ratio',
      ...ratioOf(measured, (sample) => sample.wallMs),
      ...(atLeast ? { target: { atLeast } } : { better: 'more' }),
      detail: {
        wallMs: median(measured.b.map((sample) => sample.wallMs)),
        peerWallMs: median(measured.a.map((sample) => sample.wallMs)),
        cpuSeconds: median(measured.b.map((sample) => sample.cpuSeconds)),
        peerCpuSeconds: median(measured.a.map((sample) => sample.cpuSeconds)),
        peakMib: Math.max(...measured.b.map((sample) => sample.peakBytes)) / 2 ** 20,
      },
    });

  let round = 0;
  const putFresh = async () => {
    const home = join(directory, `put-${(round += 1)}`);
    const sample = await new Seekfs(home).run(`put dev ${quote(`${tree}/`)}`);
    rmSync(home, { recursive: true });
    return sample;
  };
  const copy = join(directory, 'copy');
  const copyByHand = async () => {
    const sample = await run(
      `cp -r ${quote(tree)} ${quote(copy)} && sync && find ${quote(tree)} -type f | xargs sha256sum >/dev/null`,
    );
    rmSync(copy, { recursive: true });
    return sample;
  };
  compare('put / cp -r, sync, sha256sum', await alternate({ pairs }, copyByHand, putFresh), 1);

  // Objects as another tool leaves them: `gen` has to read them all.
  const store = join(directory, 'store');
  await run(
    `mkdir -p ${quote(join(store, 'namespaces/dev'))} && cp -r ${quote(tree)} ${quote(join(store, 'namespaces/dev/files'))}`,
  );
  const generate = async () => {
    rmSync(join(store, 'namespaces/dev/manifests'), { recursive: true, force: true });
    rmSync(join(store, 'namespaces/dev/HEAD'), { force: true });
    const home = join(directory, `gen-${(round += 1)}`);
    const sample = await new Seekfs(home, { store }).run('manifest gen dev');
    rmSync(home, { recursive: true });
    return sample;
  };
  const sums = () => run(`find ${quote(tree)} -type f -print0 | xargs -0 -P2 -n8 sha256sum >/dev/null`);
  compare('manifest gen / xargs -P2 sha256sum', await alternate({ pairs }, sums, generate), 1.5);

  const seekfs = new Seekfs(join(directory, 'again'), { store });
  const again = await seekfs.run('manifest gen dev');
  row({
    name: 'bytes read by a manifest gen with nothing changed',
    unit: 'bytes',
    result: again.stats.get_bytes,
    target: { atMost: 0 },
  });

  const cache = join(directory, 'cache');
  const warmed = await seekfs.run('warm dev', { cache });
  row({ name: 'GETs of warm', unit: 'requests', result: warmed.stats.gets, better: 'less' });
  const warmedAgain = await seekfs.run('warm dev', { cache });
  row({ name: 'GETs of a second warm', unit: 'requests', result: warmedAgain.stats.gets, target: { atMost: 0 } });
}
