// (h) What a command costs before and beside its work: whole processes, against `node -e 0`.
import { join } from 'node:path';
import { writeSeededFile } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import { quote, run } from '../harness/process.js';
import { Seekfs } from '../harness/seekfs.js';
import { median } from '../harness/statistics.js';

export const title = 'start-up of commands, whole processes';
/** That set its targets. */
export const issue = 2;

export async function measure({ directory, pairs, row }) {
  const seekfs = new Seekfs(directory);
  const cache = join(directory, 'cache');
  const file = writeSeededFile(join(directory, 'small.bin'), { bytes: 16 * 2 ** 20, seed: 1 });
  await seekfs.run(`put dev ${quote(file)}`, { cache });
  await seekfs.run('cat dev small.bin', { cache, into: 'wc -c' });
  const bare = () => run(`${quote(process.execPath)} -e 0`);

  const commands = [
    ['cat of 4 KiB, warm', 'cat dev small.bin --off 1MiB --len 4KiB', 4],
    ['cat of 4 KiB, warm, --at 1', 'cat dev small.bin --off 1MiB --len 4KiB --at 1', 4],
    ['readv of 4 KiB, warm', 'readv dev small.bin:1048576:4096'],
    ['stat', 'stat dev small.bin'],
    ['ls', 'ls dev'],
    ['--help', '--help'],
  ];
  for (const [name, args, atMost] of commands) {
    // Many short runs: single ones differ by a scheduler's whim.
    const measured = await alternate(
      { pairs: pairs * 3, warmUps: 2 },
      () =>
        run(`${args === '--help' ? seekfs.line('cat --help') : seekfs.line(args, cache)} >/dev/null`, {
          env: seekfs.env,
        }),
      bare,
    );
    row({
      name: `${name} / node -e 0`,
      unit: 'ratio',
      ...ratioOf(measured, (sample) => sample.wallMs),
      ...(atMost ? { target: { atMost } } : { better: 'less' }),
      detail: {
        wallMs: median(measured.a.map((sample) => sample.wallMs)),
        nodeMs: median(measured.b.map((sample) => sample.wallMs)),
        cpuSeconds: median(measured.a.map((sample) => sample.cpuSeconds)),
        nodeCpuSeconds: median(measured.b.map((sample) => sample.cpuSeconds)),
        peakMib: Math.max(...measured.a.map((sample) => sample.peakBytes)) / 2 ** 20,
      },
    });
  }
  const warm = await seekfs.run('cat dev small.bin --at 1', { cache, into: 'wc -c' });
  for (const counter of ['gets', 'meta_gets', 'heads', 'lists']) {
    row({
      name: `${counter} of a warm pinned cat`,
      unit: 'requests',
      result: warm.stats[counter],
      target: { atMost: 0 },
    });
  }
}
