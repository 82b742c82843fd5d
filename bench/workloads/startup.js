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

/** Of each command that may be repeated without changing anything: its name, its arguments, the most that it may take. */
const commandsOf = ({ file, into }) => [
  ['cat of 4 KiB, warm', 'cat dev small.bin --off 1MiB --len 4KiB', 4],
  ['cat of 4 KiB, warm, --at 1', 'cat dev small.bin --off 1MiB --len 4KiB --at 1', 4],
  ['readv of 4 KiB, warm', 'readv dev small.bin:1048576:4096'],
  ['stat', 'stat dev small.bin'],
  ['ls', 'ls dev'],
  ['put, unchanged', `put dev ${quote(file)}`],
  ['get, warm', `get dev small.bin ${quote(into)}`],
  ['warm, again', 'warm dev'],
  ['manifest gen, unchanged', 'manifest gen dev'],
  ['manifest head', 'manifest head dev'],
  ['manifest show', 'manifest show dev'],
  ['manifest log', 'manifest log dev'],
  ['manifest diff', 'manifest diff dev 1 1'],
  ['manifest verify', 'manifest verify dev'],
  ['pins', 'pins dev'],
  ['status', 'status'],
  ['fsck', 'fsck'],
  ['gc --dry-run', 'gc --dry-run'],
  ['advisor', 'advisor dev'],
  ['doctor', 'doctor'],
  ['--help', '--help'],
];

export async function measure({ directory, pairs, row }) {
  const seekfs = new Seekfs(directory);
  const cache = join(directory, 'cache');
  const file = writeSeededFile(join(directory, 'small.bin'), { bytes: 16 * 2 ** 20, seed: 1 });
  await seekfs.run(`put dev ${quote(file)}`, { cache });
  await seekfs.run('cat dev small.bin', { cache, into: 'wc -c' });
  const bare = () => run(`${quote(process.execPath)} -e 0`);

  for (const [name, args, atMost] of commandsOf({ file, into: join(directory, 'into.bin') })) {
    const line = args === '--help' ? seekfs.line('cat --help') : seekfs.line(args, cache);
    // Many short runs: single ones differ by a scheduler's whim.
    const measured = await alternate(
      { pairs: atMost ? pairs * 3 : pairs, warmUps: 2 },
      () => run(line, { env: seekfs.env }),
      bare,
    );
    row({
      name: `${name} / node -e 0`,
      unit: 'ratio',
      ...ratioOf(measured, (sample) => sample.wallMs),
      ...(atMost ? { target: { atMost } } : { better: 'less' }),
      detail: {
        wallMs: median(measured.a.map((sample) => sample.wallMs)),
        firstByteMs: median(measured.a.map((sample) => sample.firstByteMs ?? sample.wallMs)),
        nodeMs: median(measured.b.map((sample) => sample.wallMs)),
        cpuSeconds: median(measured.a.map((sample) => sample.cpuSeconds)),
        nodeCpuSeconds: median(measured.b.map((sample) => sample.cpuSeconds)),
        peakMib: Math.max(...measured.a.map((sample) => sample.peakBytes)) / 2 ** 20,
      },
    });
  }
  const first = await alternate(
    { pairs: pairs * 3, warmUps: 2 },
    () => run(`${seekfs.line('cat dev small.bin', cache)} | head -c 1`, { env: seekfs.env }),
    bare,
  );
  row({
    name: 'first byte of a warm file of 16 MiB / node -e 0',
    unit: 'ratio',
    ...ratioOf(first, (sample) => sample.firstByteMs ?? sample.wallMs),
    better: 'less',
  });
  const listens = await alternate(
    { pairs, warmUps: 1 },
    async () => {
      const startMs = performance.now();
      const server = await seekfs.serve({ cache });
      const wallMs = performance.now() - startMs;
      await server.stop();
      return { wallMs };
    },
    bare,
  );
  row({
    name: 'serve, until it listens / node -e 0',
    unit: 'ratio',
    ...ratioOf(listens, (sample) => sample.wallMs),
    better: 'less',
  });
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
