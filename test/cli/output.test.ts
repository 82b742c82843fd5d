// Slabs on their way to stdout: order, back-pressure, and who releases them when the reader goes away.
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { ClosedOutput } from '../../src/cli/interrupt.ts';
import { streamWriter, writeJsonList, writeSlabs } from '../../src/cli/output.ts';
import { MemoryGovernor, SLAB_BYTES, type Slab } from '../../src/lib/base/memory.ts';

const GOVERNOR_SLABS = 64;

async function* numbered(governor: MemoryGovernor, count: number): AsyncGenerator<Slab> {
  for (let index = 0; index < count; index += 1) {
    const [slab] = (await governor.acquire([100], { lane: 'demand' }))!;
    slab!.bytes.fill(index % 251);
    yield slab!;
  }
}

const governor = () => new MemoryGovernor({ limitBytes: GOVERNOR_SLABS * SLAB_BYTES });

test('all bytes arrive in order, and every slab comes back', async () => {
  const memory = governor();
  const written: Buffer[] = [];
  const out = new Writable({
    write: (chunk: Buffer, _, done) => {
      // A copy: the memory is reused once the write is done.
      written.push(Buffer.from(chunk));
      setImmediate(done);
    },
  });
  await writeSlabs(streamWriter(out), numbered(memory, 1000));
  const bytes = Buffer.concat(written);
  expect(bytes.length).toBe(100_000);
  expect(bytes.every((byte, index) => byte === Math.floor(index / 100) % 251)).toBe(true);
  expect(memory.inUseBytes).toBe(0);
});

test('a writer that does not take anything holds at most a few batches back', async () => {
  const memory = governor();
  const blocked: (() => void)[] = [];
  const out = new Writable({
    write: (_chunk, _encoding, done) => void blocked.push(done),
    writev: (_chunks, done) => void blocked.push(done),
  });
  const done = writeSlabs(streamWriter(out), numbered(memory, 1000));
  await new Promise((resolve) => setImmediate(resolve));
  const heldSlabs = memory.inUseBytes / SLAB_BYTES;
  expect(heldSlabs).toBeGreaterThan(0);
  expect(heldSlabs).toBeLessThanOrEqual(48);
  const unblock = setInterval(() => blocked.splice(0).forEach((release) => release()), 0);
  await done;
  clearInterval(unblock);
  expect(memory.inUseBytes).toBe(0);
});

test('a reader that goes away ends it with ClosedOutput, stops the source and leaves no slab', async () => {
  const memory = governor();
  let isStopped = false;
  async function* source(): AsyncGenerator<Slab> {
    try {
      yield* numbered(memory, 1_000_000);
    } finally {
      isStopped = true;
    }
  }
  let writes = 0;
  const out = new Writable({
    write: (_chunk, _encoding, done) => {
      writes += 1;
      done(writes > 40 ? Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }) : null);
    },
  });
  out.on('error', () => undefined);
  await expect(writeSlabs(streamWriter(out), source())).rejects.toBeInstanceOf(ClosedOutput);
  expect(isStopped).toBe(true);
  expect(memory.inUseBytes).toBe(0);
});

test('an interruption ends the wait for a reader who takes nothing', async () => {
  const memory = governor();
  const blocked: (() => void)[] = [];
  const out = new Writable({
    write: (_chunk, _encoding, done) => void blocked.push(done),
    writev: (_chunks, done) => void blocked.push(done),
  });
  const interruption = new AbortController();
  const done = writeSlabs(streamWriter(out), numbered(memory, 1000), { signal: interruption.signal });
  await new Promise((resolve) => setImmediate(resolve));
  expect(blocked).not.toEqual([]);
  interruption.abort();
  await expect(done).rejects.toMatchObject({ code: 'interrupted' });
});

test('a source that fails in the middle passes its error on and leaves no slab', async () => {
  const memory = governor();
  async function* source(): AsyncGenerator<Slab> {
    yield* numbered(memory, 5);
    throw new Error('page_corrupt');
  }
  const out = new Writable({ write: (_chunk, _encoding, done) => done() });
  await expect(writeSlabs(streamWriter(out), source())).rejects.toThrow('page_corrupt');
  expect(memory.inUseBytes).toBe(0);
});

test('a JSON list is one document however many chunks it takes', async () => {
  let text = '';
  let chunks = 0;
  const out = new Writable({
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString();
      chunks += 1;
      done();
    },
  });
  const many = Array.from({ length: 20_000 }, (_, index) => index);
  async function* items(): AsyncGenerator<number> {
    yield* many;
  }
  await writeJsonList(out, { head: { ns: 'dev' }, name: 'files', items: items() }, (item) => item);
  expect(chunks).toBeGreaterThan(1);
  expect(JSON.parse(text)).toEqual({ ns: 'dev', files: many });
});
