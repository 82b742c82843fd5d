// Processes that offer pages to one segmentstore on a file system that is too small for them, all at once, round by round,
// and note how little space is free before and after each write and each file that is opened. Prints a report of each as
// a line of JSON. Arguments: the shared settings as JSON, and where it is one of the writers its number.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { seededRandom, systemRandom } from '../../../src/lib/base/random.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { openTestStore, testPage } from '../segment-store.ts';

export interface SpaceSettings {
  readonly directory: string;
  readonly capacityBytes: number;
  readonly freeReserveBytes: number;
  readonly writers: number;
  /** Each writer offers so many pages in each round, and cleans at the end of some. */
  readonly rounds: number;
  readonly pages: number;
  readonly pageBytes: number;
  readonly seed: number;
}

export interface SpaceReport {
  /** The least that was seen. */
  readonly freeBytes: number;
  readonly samples: number;
  readonly writtenBytes: number;
}

const CLEANING_SHARE = 0.3;

async function lead(settings: SpaceSettings): Promise<void> {
  const children = Array.from({ length: settings.writers }, (_, writer) =>
    fork(process.argv[1]!, [JSON.stringify(settings), String(writer)]),
  );
  await Promise.all(children.map((child) => answerOf(child)));
  for (let round = 0; round < settings.rounds; round += 1) {
    await Promise.all(children.map((child) => (child.send(round), answerOf(child))));
  }
  const reports = await Promise.all(children.map((child) => (child.send('end'), answerOf(child))));
  for (const report of reports) process.stdout.write(`${JSON.stringify(report)}\n`);
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const [answer] = (await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])])) as unknown[];
  if (answer === undefined) throw new Error('a writer ended');
  return answer;
}

async function write(settings: SpaceSettings, writer: number): Promise<void> {
  const { directory, capacityBytes, freeReserveBytes, pages, pageBytes: len } = settings;
  const random = seededRandom(settings.seed + writer);
  let [samples, freeBytes] = [0, Number.POSITIVE_INFINITY];
  // At once, so that nothing of this process comes between.
  const sample = (): void => {
    const { bavail, bsize } = statfsSync(directory);
    samples += 1;
    freeBytes = Math.min(freeBytes, bavail * bsize);
  };
  const options = { capacityBytes, freeReserveBytes, random: systemRandom, policyOf: () => 'lru' as const };
  const l2 = await openTestStore(directory, { ...options, disk: sampledDisk(sample) });
  const offer = async (round: number): Promise<void> => {
    for (let pageId = round * pages; pageId < (round + 1) * pages; pageId += 1) {
      const page = testPage({ path: `writer-${writer}`, pageId, len });
      await l2.put(page);
      await l2.get(page);
    }
    if (random.unit() < CLEANING_SHARE) await l2.store.maintenance.clean();
  };
  const end = async (): Promise<SpaceReport> => {
    await l2.store.close();
    sample();
    return { freeBytes, samples, writtenBytes: l2.metrics.get('seekfs_l2_written_bytes_total') };
  };
  process.on('message', (order: number | 'end') => {
    const done = order === 'end' ? end() : offer(order).then(() => 'offered');
    done.then(
      (answer) => process.send!(answer, () => order === 'end' && process.disconnect()),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      },
    );
  });
  process.send!('ready');
}

function sampledDisk(sample: () => void): Disk {
  return {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      sample();
      const writeAll = file.write.bind(file);
      const sampled: typeof writeAll = async (...operands) => {
        sample();
        await writeAll(...operands);
        sample();
      };
      return Object.assign(file, { write: sampled });
    },
  };
}

const [settings, writer] = process.argv.slice(2) as [string, string?];
await (writer === undefined ? lead(JSON.parse(settings)) : write(JSON.parse(settings), Number(writer)));
