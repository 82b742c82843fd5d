// Bytes on their way through a descriptor: to a file, to a pipe that blocks and to one that does not, and a reader who
// goes away while nothing is written. That a write which hangs does not keep the process is tested end to end.
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DescriptorOutput } from '../../src/cli/descriptor.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { NamedPipe } from '../support/named-pipe.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const bytes = Buffer.from(seededRandom(5).bytes(1_000_000));
const parts = [bytes.subarray(0, 1), bytes.subarray(1, 300_000), bytes.subarray(300_000)];

function never(): never {
  throw new Error('the descriptor blocks');
}

/** Takes what comes until there is nothing and `done` has settled. */
async function drain(pipe: NamedPipe, done: Promise<void>): Promise<Buffer> {
  let isDone = false;
  const settled = done.finally(() => (isDone = true));
  const taken: Buffer[] = [];
  for (;;) {
    const wasDone = isDone;
    const some = pipe.take();
    taken.push(Buffer.from(some));
    if (wasDone && some.length === 0) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await settled;
  return Buffer.concat(taken);
}

test('a file gets the bytes in order, from where its offset is', async () => {
  const path = join(await temporaryDirectory('seekfs-descriptor'), 'out');
  const fd = openSync(path, 'w');
  const output = new DescriptorOutput(fd, never);
  await output.write([Buffer.from('before')]);
  await output.write(parts);
  closeSync(fd);
  expect((await readFile(path)).equals(Buffer.concat([Buffer.from('before'), bytes]))).toBe(true);
});

test('a pipe gets more than it holds at once, as its reader takes it', async () => {
  using pipe = await NamedPipe.create();
  const output = new DescriptorOutput(pipe.writeEnd, never);
  const done = output.write(parts);
  expect(output.writing).toBe(true);
  expect((await drain(pipe, done)).equals(bytes)).toBe(true);
  expect(output.writing).toBe(false);
});

test('where the descriptor does not block, the other way gets exactly the rest', async () => {
  using pipe = await NamedPipe.create({ nonBlocking: true });
  const rest: Buffer[] = [];
  const output = new DescriptorOutput(pipe.writeEnd, () => async (buffers) => {
    rest.push(...buffers.map((buffer) => Buffer.from(buffer)));
  });
  await output.write(parts);
  await output.write([Buffer.from('after')]);
  const taken = await drain(pipe, Promise.resolve());
  expect(taken.length).toBeGreaterThan(0);
  expect(taken.length).toBeLessThan(bytes.length);
  expect(Buffer.concat([taken, ...rest]).equals(Buffer.concat([bytes, Buffer.from('after')]))).toBe(true);
});

test('a reader who goes away during a write is EPIPE', async () => {
  using pipe = await NamedPipe.create();
  const done = new DescriptorOutput(pipe.writeEnd, never).write(parts);
  pipe.close(pipe.readEnd);
  await expect(done).rejects.toMatchObject({ code: 'EPIPE' });
});

test('a reader who goes away while nothing is written is seen, and one who is there is not missed', async () => {
  using pipe = await NamedPipe.create();
  const output = new DescriptorOutput(pipe.writeEnd, never);
  let isOpen = true;
  const gone = new Promise<boolean>((resolve) => output.onReaderGone(() => resolve(isOpen)));
  // Longer than a check takes: the event loop turns while the reader is there.
  await drain(pipe, output.write(parts));
  isOpen = false;
  pipe.close(pipe.readEnd);
  expect(await gone).toBe(false);
});
