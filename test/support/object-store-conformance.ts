// What every engine of the ObjectStore contract must do, as one suite that runs over all of them. An engine that passes
// may stand in for any other; what only one engine promises is tested beside it.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SeekfsError, isSeekfsError } from '../../src/lib/base/errors.ts';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import type { ObjectStore, PutCondition, PutSource } from '../../src/lib/objectstore/object-store.ts';
import { testKeys } from './object-store-keys.ts';
import { codeOf, getRangeBytes, listAll, patternBytes, patternSource } from './store-bytes.ts';

const NONE: PutCondition = { kind: 'none' };
const ABSENT: PutCondition = { kind: 'absent' };

function textSource(text: string): PutSource {
  return { kind: 'bytes', bytes: Buffer.from(text) };
}

export interface ConformanceOptions {
  readonly open: () => Promise<ObjectStore>;
  /** What `presign` gives: a URL that answers, or the error usage. */
  readonly presign: 'url' | 'usage';
}

export function describeObjectStore(name: string, options: ConformanceOptions): void {
  describe(`${name} keeps the contract of an object store`, () => {
    let store: ObjectStore;
    let tests = 0;
    beforeAll(async () => {
      store = await options.open();
    });
    afterAll(() => store.close());
    const freshPrefix = (): string => `${randomBytes(4).toString('hex')}-${(tests += 1)}/`;
    const put = (key: string, text: string, condition = NONE): Promise<{ etag: string }> =>
      store.put({ key, source: textSource(text), condition, durable: false });
    const read = async (key: string): Promise<string> =>
      (await store.getWhole({ key, sizeBytesMax: MIB, purpose: 'meta' })).bytes.toString();

    test('what was put is read back, with one ETag and size in every answer', async () => {
      const key = `${freshPrefix()}a.bin`;
      const { etag } = await put(key, 'hello world');
      expect(etag).toMatch(/^".+"$/);
      const expected = { key, sizeBytes: 11, etag };
      expect(await store.head({ key })).toMatchObject(expected);
      const whole = await store.getWhole({ key, sizeBytesMax: 11, purpose: 'meta' });
      expect(whole).toMatchObject(expected);
      expect(whole.bytes.toString()).toBe('hello world');
      const ranged = await store.getRange(
        { key, range: { off: 3, len: 4 }, purpose: 'file' },
        { write: () => undefined },
      );
      expect(ranged).toMatchObject(expected);
      const [listed] = await listAll(store, key);
      expect(listed).toMatchObject(expected);
      expect(Math.abs(listed!.modifiedAtMs - Date.now())).toBeLessThan(60_000);
    });

    test('a ranged get delivers exactly its bytes', async () => {
      const key = `${freshPrefix()}pattern`;
      const sizeBytes = 700 * KIB + 3;
      const bytes = patternBytes({ off: 0, len: sizeBytes });
      await store.put({ key, source: { kind: 'bytes', bytes }, condition: NONE, durable: false });
      const ranges: [number, number][] = [
        [0, 1],
        [0, sizeBytes],
        [sizeBytes - 1, 1],
        [1, 256 * KIB],
        [256 * KIB - 1, 2],
        [12_345, 300_001],
      ];
      for (const [off, len] of ranges) {
        const got = await getRangeBytes(store, key, { off, len });
        expect(got.equals(bytes.subarray(off, off + len)), `${off}+${len}`).toBe(true);
      }
    });

    test('a range that the object does not have is range_not_satisfiable, an empty one is usage', async () => {
      const key = `${freshPrefix()}ten`;
      await put(key, '0123456789');
      expect(await codeOf(getRangeBytes(store, key, { off: 10, len: 1 }))).toBe('range_not_satisfiable');
      expect(await codeOf(getRangeBytes(store, key, { off: 5, len: 6 }))).toBe('range_not_satisfiable');
      expect(await codeOf(getRangeBytes(store, key, { off: 50, len: 5 }))).toBe('range_not_satisfiable');
      expect(await codeOf(getRangeBytes(store, key, { off: 5, len: 0 }))).toBe('usage');
      expect(await codeOf(getRangeBytes(store, key, { off: -1, len: 1 }))).toBe('usage');
    });

    test('If-Match holds a ranged get to one state of the object', async () => {
      const key = `${freshPrefix()}changing`;
      const { etag } = await put(key, 'first state');
      expect((await getRangeBytes(store, key, { off: 0, len: 5 }, { ifMatch: etag })).toString()).toBe('first');
      await put(key, 'second state');
      expect(await codeOf(getRangeBytes(store, key, { off: 0, len: 5 }, { ifMatch: etag }))).toBe('object_changed');
      expect(await codeOf(getRangeBytes(store, key, { off: 11, len: 1 }, { ifMatch: etag }))).toBe('object_changed');
    });

    test('what is not there is object_not_found', async () => {
      const key = `${freshPrefix()}nothing`;
      expect(await codeOf(store.head({ key }))).toBe('object_not_found');
      expect(await codeOf(store.getWhole({ key, sizeBytesMax: 10, purpose: 'meta' }))).toBe('object_not_found');
      expect(await codeOf(getRangeBytes(store, key, { off: 0, len: 1 }))).toBe('object_not_found');
      expect(await codeOf(getRangeBytes(store, key, { off: 0, len: 1 }, { ifMatch: '"x"' }))).toBe('object_not_found');
    });

    test('a whole get refuses what is larger than the caller takes, for good', async () => {
      const key = `${freshPrefix()}large`;
      await put(key, 'x'.repeat(1000));
      const error = await store
        .getWhole({ key, sizeBytesMax: 999, purpose: 'meta' })
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'store_unavailable', retryable: false });
      expect((error as Error).message).toContain('larger than expected');
    });

    test('an empty object is an object', async () => {
      const key = `${freshPrefix()}empty`;
      const { etag } = await put(key, '');
      expect(await store.head({ key })).toMatchObject({ sizeBytes: 0, etag });
      expect(await read(key)).toBe('');
      expect(await codeOf(getRangeBytes(store, key, { off: 0, len: 1 }))).toBe('range_not_satisfiable');
    });

    test('If-None-Match creates once', async () => {
      const key = `${freshPrefix()}once`;
      await put(key, 'first', ABSENT);
      expect(await codeOf(put(key, 'second', ABSENT))).toBe('precondition_failed');
      expect(await read(key)).toBe('first');
    });

    test('If-Match swaps only the state that was read', async () => {
      const key = `${freshPrefix()}swap`;
      const first = await put(key, 'one');
      const second = await put(key, 'two', { kind: 'match', etag: first.etag });
      expect((await store.head({ key })).etag).toBe(second.etag);
      expect(await codeOf(put(key, 'three', { kind: 'match', etag: first.etag }))).toBe('precondition_failed');
      expect(await read(key)).toBe('two');
      const missing = put(`${key}-not`, 'x', { kind: 'match', etag: first.etag });
      expect(await codeOf(missing)).toBe('precondition_failed');
      expect(await codeOf(store.head({ key: `${key}-not` }))).toBe('object_not_found');
    });

    test('of sixteen that create one key at once, one succeeds', async () => {
      const key = `${freshPrefix()}race`;
      const names = Array.from({ length: 16 }, (_, n) => `writer ${n}`);
      const outcomes = await Promise.all(names.map((text) => codeOf(put(key, text, ABSENT))));
      expect(outcomes.filter((outcome) => outcome === 'no error')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'precondition_failed')).toHaveLength(15);
      expect(await read(key)).toBe(names[outcomes.indexOf('no error')]);
    });

    test('no swap of four that count together is lost', async () => {
      const key = `${freshPrefix()}counter`;
      await put(key, '0');
      const add = async (): Promise<void> => {
        for (let tries = 0; tries < 200; tries += 1) {
          const { bytes, etag } = await store.getWhole({ key, sizeBytesMax: 10, purpose: 'meta' });
          const outcome = await codeOf(put(key, String(Number(bytes.toString()) + 1), { kind: 'match', etag }));
          if (outcome === 'no error') return;
          // A store may also say "conflict, try again" (HTTP 409) while another swap is on its way.
          expect(['precondition_failed', 'store_unavailable']).toContain(outcome);
        }
        throw new Error('no swap succeeded');
      };
      await Promise.all([1, 2, 3, 4].map(() => add().then(add)));
      expect(await read(key)).toBe('8');
    });

    test('a stream is put whole, with progress, or not at all', async () => {
      const prefix = freshPrefix();
      const progress: number[] = [];
      const sizeBytes = MIB + 17;
      const onProgress = (bytes: number): void => void progress.push(bytes);
      await store.put({
        key: `${prefix}s`,
        source: patternSource(sizeBytes),
        condition: NONE,
        durable: true,
        onProgress,
      });
      expect(progress.at(-1)).toBe(sizeBytes);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      const got = await getRangeBytes(store, `${prefix}s`, { off: 0, len: sizeBytes });
      expect(got.equals(patternBytes({ off: 0, len: sizeBytes }))).toBe(true);
      for (const actualBytes of [sizeBytes - 1, sizeBytes + 1]) {
        const source = patternSource(sizeBytes, actualBytes);
        const broken = store.put({ key: `${prefix}broken`, source, condition: NONE, durable: false });
        expect(await codeOf(broken)).toBe('source_changed');
      }
      expect((await listAll(store, prefix)).map(({ key }) => key)).toEqual([`${prefix}s`]);
    });

    test('an object of more than 64 MiB is put and read back', async () => {
      const key = `${freshPrefix()}big`;
      const sizeBytes = 70 * MIB + 5;
      const { etag } = await store.put({ key, source: patternSource(sizeBytes), condition: ABSENT, durable: false });
      expect(await store.head({ key })).toMatchObject({ sizeBytes, etag });
      const again = store.put({ key, source: patternSource(sizeBytes), condition: ABSENT, durable: false });
      expect(await codeOf(again)).toBe('precondition_failed');
      const range = { off: 64 * MIB - 100, len: 2 * MIB };
      expect((await getRangeBytes(store, key, range, { ifMatch: etag })).equals(patternBytes(range))).toBe(true);
      const hash = createHash('sha256');
      const whole = { off: 0, len: sizeBytes };
      await store.getRange({ key, range: whole, purpose: 'file' }, { write: (chunk) => void hash.update(chunk) });
      const expected = createHash('sha256').update(patternBytes(whole)).digest('hex');
      expect(hash.digest('hex')).toBe(expected);
      await store.delete({ keys: [key] });
    });

    testKeys({ store: () => store, freshPrefix, put, read });

    test('deleting takes many keys, and what is not there', async () => {
      const prefix = freshPrefix();
      await put(`${prefix}one`, '1');
      await put(`${prefix}two & <three>`, '2');
      await store.delete({ keys: [`${prefix}one`, `${prefix}two & <three>`, `${prefix}missing`] });
      const several = ['1', '2', 'a\tb\nc', 'a&b', 'ä'].map((tail) => `${prefix}${tail}`);
      for (const key of several) await put(key, '');
      await store.delete({ keys: several });
      await store.delete({ keys: [`${prefix}one`] });
      await store.delete({ keys: [] });
      expect(await listAll(store, prefix)).toEqual([]);
    });

    test('a sink holds the store back, and never has two chunks at once', async () => {
      const key = `${freshPrefix()}pressure`;
      const sizeBytes = 3 * MIB;
      await store.put({ key, source: patternSource(sizeBytes), condition: NONE, durable: false });
      let writing = 0;
      let total = 0;
      const sink = {
        write: async (chunk: Uint8Array): Promise<void> => {
          writing += 1;
          expect(writing).toBe(1);
          expect(Buffer.from(chunk).equals(patternBytes({ off: total, len: chunk.length }))).toBe(true);
          total += chunk.length;
          await new Promise((resolve) => setImmediate(resolve));
          writing -= 1;
        },
      };
      await store.getRange({ key, range: { off: 0, len: sizeBytes }, purpose: 'file' }, sink);
      expect(total).toBe(sizeBytes);
    });

    test('an error of the sink ends the get and arrives as it was thrown', async () => {
      const key = `${freshPrefix()}sink`;
      await store.put({ key, source: patternSource(MIB), condition: NONE, durable: false });
      const thrown = new SeekfsError('page_corrupt', 'the sink did not like it');
      const request = { key, range: { off: 0, len: MIB }, purpose: 'file' as const };
      const failing = [
        () => Promise.reject(thrown),
        () => {
          throw thrown;
        },
      ];
      for (const write of failing) {
        expect(await store.getRange(request, { write }).catch((error: unknown) => error)).toBe(thrown);
      }
    });

    test('an aborted signal ends every request', async () => {
      const prefix = freshPrefix();
      const key = `${prefix}abort`;
      await store.put({ key, source: patternSource(4 * MIB), condition: NONE, durable: false });
      const signal = AbortSignal.abort();
      expect(await codeOf(store.head({ key, signal }))).toBe('interrupted');
      expect(await codeOf(store.getWhole({ key, sizeBytesMax: 5 * MIB, purpose: 'meta', signal }))).toBe('interrupted');
      expect(await codeOf(getRangeBytes(store, key, { off: 0, len: 1 }, { signal }))).toBe('interrupted');
      const source = patternSource(10);
      expect(await codeOf(store.put({ key, source, condition: NONE, durable: false, signal }))).toBe('interrupted');
      expect(await codeOf(store.delete({ keys: [key], signal }))).toBe('interrupted');
      const stop = new AbortController();
      const write = (): void => stop.abort(new SeekfsError('interrupted', 'stopped in the middle'));
      const whole = { key, range: { off: 0, len: 4 * MIB }, purpose: 'file' as const, signal: stop.signal };
      await expect(store.getRange(whole, { write })).rejects.toThrow('stopped in the middle');
      expect((await listAll(store, prefix)).map((listed) => listed.key)).toEqual([key]);
    });

    test('reads beside swaps see one state or object_changed, never a mixture', async () => {
      const key = `${freshPrefix()}mixed`;
      const states = ['a', 'b'].map((letter) => Buffer.alloc(600 * KIB, letter));
      const putState = (n: number): Promise<unknown> =>
        store.put({ key, source: { kind: 'bytes', bytes: states[n % 2]! }, condition: NONE, durable: false });
      await putState(0);
      const progress = { swapping: true, completed: 0 };
      const reading = (async (): Promise<void> => {
        while (progress.swapping || progress.completed === 0) {
          const got = await getRangeBytes(store, key, { off: 0, len: 600 * KIB }).catch((error: unknown) => {
            // Ceph answers 500 now and then to a read that meets an overwrite.
            if (isSeekfsError(error) && (error.code === 'object_changed' || error.retryable)) return undefined;
            throw error;
          });
          if (!got) continue;
          progress.completed += 1;
          expect(states.some((state) => state.equals(got))).toBe(true);
        }
      })();
      for (let n = 1; n <= 12; n += 1) await putState(n);
      progress.swapping = false;
      await reading;
    });

    test('the probe finds conditional writes, and leaves nothing behind', async () => {
      const prefix = freshPrefix();
      expect(await store.probeConditionalWrites({ prefix })).toEqual({ ifNoneMatch: true, ifMatch: true });
      expect(await listAll(store, prefix)).toEqual([]);
    });

    test('presign gives a URL that answers, or says that there is none', async () => {
      const key = `${freshPrefix()}a file&+%20 ä`;
      await put(key, 'presigned');
      if (options.presign === 'usage') {
        expect(await codeOf(store.presign({ key, expiresS: 60 }))).toBe('usage');
        return;
      }
      const response = await fetch(await store.presign({ key, expiresS: 60 }));
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('presigned');
    });
  });
}
