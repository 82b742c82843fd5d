import { beforeEach, expect, test } from 'vitest';
import { SeekfsError, type ErrorCode } from '../../../src/lib/base/errors.ts';
import { putContent } from '../../../src/lib/manifest/content-object.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import { putObject } from '../../support/manifest-deps.ts';

let store: ObjectStore;
let puts: number;

beforeEach(() => {
  store = new MemoryObjectStore();
  puts = 0;
  const put = store.put.bind(store);
  store.put = (request) => {
    puts += 1;
    return put(request);
  };
});

const putBytes = (text: string, headFirst: boolean): ReturnType<typeof putContent> =>
  putContent(store, { key: 'k', source: { kind: 'bytes', bytes: Buffer.from(text) }, headFirst });

const failing = (code: ErrorCode) => (): Promise<never> => Promise.reject(new SeekfsError(code, 'no'));

test.each([true, false])('an object that is not there is written (asked first: %s)', async (headFirst) => {
  expect(await putBytes('content', headFirst)).toEqual({
    etag: (await store.head({ key: 'k' })).etag,
    isReused: false,
  });
});

test.each([
  [true, 0],
  [false, 1],
])('an object of that key and size is taken as it is (asked first: %s)', async (headFirst, attempts) => {
  const etag = await putObject(store, 'k', 'content');
  puts = 0;
  expect(await putBytes('content', headFirst)).toEqual({ etag, isReused: true });
  expect(puts).toBe(attempts);
});

test.each([true, false])('one of another size is object_changed, and stays (asked first: %s)', async (headFirst) => {
  const etag = await putObject(store, 'k', 'other');
  await expect(putBytes('content', headFirst)).rejects.toMatchObject({
    code: 'object_changed',
    details: { expected: 7, actual: 5 },
  });
  expect((await store.head({ key: 'k' })).etag).toBe(etag);
});

test.each([
  ['a put that fails', 'put', 'access_denied'],
  ['a head request that fails', 'head', 'store_unavailable'],
] as const)('%s is told as it is', async (_, operation, code) => {
  store[operation] = failing(code);
  await expect(putBytes('content', true)).rejects.toMatchObject({ code });
});

test('an object that was there at the put and is gone right after it is no success', async () => {
  store.put = failing('precondition_failed');
  await expect(putBytes('content', false)).rejects.toMatchObject({ code: 'precondition_failed' });
});
