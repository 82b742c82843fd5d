// The checksums of parts, against a store that compares them and one that knows nothing of them. What multipart puts do
// otherwise is in the conformance suite, in s3-store.test.ts and, where they go on, in manifest/upload-journal.test.ts.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crc32c } from '../../../src/lib/base/crc32c.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import type { ObjectStore, PutSource, Upload, UploadMemory } from '../../../src/lib/objectstore/object-store.ts';
import { FaultyS3 } from '../../support/faulty-s3.ts';
import { openS3Store } from '../../support/s3-store.ts';

const PARTS = 5;
const BYTES = Buffer.alloc((PARTS - 1) * 16 * MIB + 1_000_000, 'seekfs');
const source: PutSource = {
  kind: 'stream',
  sizeBytes: BYTES.length,
  open: async function* ({ off, len }) {
    yield BYTES.subarray(off, off + len);
  },
  crc32cOf: ({ off, len }) => crc32c(BYTES.subarray(off, off + len)),
};

let server: FaultyS3;
let store: ObjectStore;

beforeEach(async () => {
  server = await new FaultyS3().listen();
  store = openS3Store(server.options());
});

afterEach(async () => {
  await store.close();
  await server.close();
});

const put = (uploads?: UploadMemory): Promise<unknown> =>
  store.put({ key: 'k', source, condition: { kind: 'absent' }, durable: true, uploads });

const checksums = (): number =>
  server.log.filter(({ operation, headers }) => operation === 'PART' && headers['x-amz-checksum-crc32c']).length;

test('a part whose bytes change on their way is refused by a store that compares, and sent again', async () => {
  server.objects.checksums = 'crc32c';
  let spoiled = 0;
  server.objects.onPart = (partNumber, bytes) => {
    if (partNumber !== 3 || spoiled > 0) return;
    spoiled += 1;
    bytes[7]! ^= 1;
  };
  await put();
  expect(spoiled).toBe(1);
  expect(server.count('PART')).toBe(PARTS + 1);
  expect(checksums()).toBe(PARTS + 1);
  expect(server.objects.get('k')!.equals(BYTES)).toBe(true);
});

test('a store that knows no checksums of parts gets none', async () => {
  await put();
  expect(server.count('PART')).toBe(PARTS);
  expect(checksums()).toBe(0);
  expect(server.objects.get('k')!.equals(BYTES)).toBe(true);
});

test('an upload that is gone on with is put together with the checksums of all its parts', async () => {
  server.objects.checksums = 'crc32c';
  let begun: Upload | undefined;
  const etags = new Map<number, string>();
  const memory: UploadMemory = {
    recall: () => begun && { upload: begun, etags },
    begin: async (upload) => void (begun = upload),
    add: async (_, { partNumber, etag }) => void etags.set(partNumber, etag),
    forget: async () => {
      begun = undefined;
      etags.clear();
    },
  };
  // Four parts are on their way at once: the last one comes after one of them was taken, whatever their order.
  let taken = 0;
  server.objects.onPart = () => (taken += 1);
  const where = ({ operation }: { operation: string }): boolean => operation === 'PART' && taken > 0;
  server.fail({ kind: 'status', status: 403, code: 'AccessDenied' }, { where, times: PARTS });
  await expect(put(memory)).rejects.toMatchObject({ code: 'access_denied' });
  expect(etags.size).toBeGreaterThan(0);
  server.forgetFaults();
  await put(memory);
  expect(server.count('CREATE')).toBe(1);
  expect(server.objects.get('k')!.equals(BYTES)).toBe(true);
});
