import { truncateSync } from 'node:fs';
import { appendFile, readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { seededRandom, systemRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { put, type PutReport } from '../../../src/lib/manifest/put.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import type { S3Options } from '../../../src/lib/objectstore/s3-options.ts';
import { FaultyS3, type LoggedRequest } from '../../support/faulty-s3.ts';
import { freshBucket, peerOptions, s3Peer } from '../../support/peers.ts';
import { openS3Store } from '../../support/s3-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** Five parts, the last of 1 KiB. */
const SIZE_BYTES = 64 * MIB + KIB;
const PARTS = 5;
const peer = await s3Peer();

function fileBytes(seed: number): Buffer {
  // A block of its own again and again, and each part with its number: parts in the wrong order would show.
  const bytes = Buffer.alloc(SIZE_BYTES, seededRandom(seed).bytes(64 * KIB));
  for (let part = 0; part < PARTS; part += 1) bytes.writeUInt32LE(part, part * 16 * MIB);
  return bytes;
}

/** One user's `put` of one large file, again and again. */
class Putting {
  readonly metrics = new Metrics();
  readonly store: ObjectStore;
  readonly directory: string;
  readonly source: string;
  readonly journals: string;
  readonly warnings: string[] = [];

  private constructor(directory: string, s3: S3Options) {
    this.directory = directory;
    this.source = join(directory, 'big.bin');
    this.journals = join(directory, 'journals');
    this.store = openS3Store(s3, { metrics: this.metrics });
  }

  static async start(s3: S3Options): Promise<Putting> {
    const putting = new Putting(await temporaryDirectory(), s3);
    await writeFile(putting.source, fileBytes(1));
    return putting;
  }

  async put(options: { stopAtBytes?: number; prefix?: string } = {}): Promise<PutReport> {
    const stop = new AbortController();
    return put(
      {
        store: this.store,
        cachePath: undefined,
        log: { log: (_level, message) => void this.warnings.push(message) },
        clock: systemClock,
        random: systemRandom,
        unsafePublish: false,
        disk: nodeDisk,
      },
      {
        ns: 'dev',
        sources: [this.source],
        pageSizeBytes: 8 * MIB,
        journalPath: this.journals,
        prefix: options.prefix,
        publish: false,
        signal: stop.signal,
        onProgress: ({ bytesDone }) => {
          if (bytesDone >= (options.stopAtBytes ?? Infinity)) stop.abort();
        },
      },
    );
  }

  /** Stops when at least three of the parts are in the store, and says how many the journal has. */
  async interrupt(): Promise<number> {
    await expect(this.put({ stopAtBytes: 48 * MIB })).rejects.toMatchObject({ code: 'interrupted' });
    const lines = (await readFile(await this.journal(), 'utf8')).trim().split('\n');
    return lines.length - 1;
  }

  async journal(): Promise<string> {
    const names = (await readdir(this.journals)).filter((name) => name.startsWith('put-'));
    expect(names).toHaveLength(1);
    return join(this.journals, names[0]!);
  }

  async storedBytes(key: string): Promise<Buffer> {
    return (await this.store.getWhole({ key, sizeBytesMax: SIZE_BYTES, purpose: 'file' })).bytes;
  }
}

async function onlyKey(store: ObjectStore): Promise<string> {
  const keys: string[] = [];
  for await (const page of store.list({ prefix: 'namespaces/dev/files/' })) keys.push(...page.map(({ key }) => key));
  expect(keys).toHaveLength(1);
  return keys[0]!;
}

test.skipIf(!peer)(`an interrupted put goes on with the parts that ${peer?.name} has`, async () => {
  const putting = await Putting.start(peerOptions(peer!, await freshBucket(peer!, 'uploads')));
  const left = await putting.interrupt();
  expect(left).toBeGreaterThanOrEqual(3);
  const puts = (): number =>
    putting.metrics.get('seekfs_store_puts_total') - putting.metrics.get('seekfs_store_retries_total');
  const putsBefore = puts();
  expect(await putting.put()).toMatchObject({ uploadedFiles: 1, reusedFiles: 0 });
  const parts = puts() - putsBefore - 2;
  expect(parts, 'beside the intent and the completion').toBe(PARTS - left);
  expect((await putting.storedBytes(await onlyKey(putting.store))).equals(fileBytes(1))).toBe(true);
  expect(await readdir(putting.journals)).toEqual([]);
});

describe('on a scripted server', () => {
  let server: FaultyS3;
  let putting: Putting;

  beforeEach(async () => {
    server = await new FaultyS3().listen();
    server.objects.partsPerPage = 2;
    putting = await Putting.start(server.options());
  });
  afterEach(() => server.close());

  const isPart = ({ operation }: LoggedRequest): boolean => operation === 'PART';

  async function resume(): Promise<{ parts: number; uploads: number }> {
    const before = { parts: server.count('PART'), uploads: server.count('CREATE') };
    expect(await putting.put()).toMatchObject({ uploadedFiles: 1, reusedFiles: 0 });
    expect(server.objects.openUploads, 'nothing is left in the store').toBe(0);
    expect(await readdir(putting.journals), 'nor here').toEqual([]);
    return { parts: server.count('PART') - before.parts, uploads: server.count('CREATE') - before.uploads };
  }

  async function expectStored(bytes: Buffer): Promise<void> {
    expect(server.objects.get(await onlyKey(putting.store))!.equals(bytes)).toBe(true);
  }

  test('the next put sends what is missing; nothing of it is to be seen before', async () => {
    const left = await putting.interrupt();
    expect(server.objects.openUploads).toBe(1);
    expect(await resume()).toEqual({ parts: PARTS - left, uploads: 0 });
    expect(server.count('PARTS'), 'in pages').toBeGreaterThan(1);
    await expectStored(fileBytes(1));
  });

  test('an error of the store, too, leaves the parts for the next put', async () => {
    server.fail({ kind: 'status', status: 403, code: 'AccessDenied' }, { where: isPart, times: 4 });
    await expect(putting.put()).rejects.toMatchObject({ code: 'access_denied' });
    server.forgetFaults();
    expect(server.objects.openUploads).toBe(1);
    expect(await resume()).toEqual({ parts: PARTS, uploads: 0 });
    await expectStored(fileBytes(1));
  });

  test('a source that changed starts afresh, and its old upload is aborted', async () => {
    await putting.interrupt();
    await writeFile(putting.source, fileBytes(2));
    expect(await resume()).toEqual({ parts: PARTS, uploads: 1 });
    await expectStored(fileBytes(2));
  });

  test('the upload of a source that has become small is aborted', async () => {
    await putting.interrupt();
    await truncate(putting.source, 1000);
    expect(await resume()).toEqual({ parts: 0, uploads: 0 });
    await expectStored(fileBytes(1).subarray(0, 1000));
  });

  test('an upload that the store knows no more starts afresh', async () => {
    await putting.interrupt();
    await fetch(`${server.endpoint}/bucket/any?uploadId=1`, { method: 'DELETE' });
    expect(server.objects.openUploads).toBe(0);
    expect(await resume()).toEqual({ parts: PARTS, uploads: 1 });
  });

  test('so does one whose parts the store does not tell, and it is aborted', async () => {
    await putting.interrupt();
    server.fail({ kind: 'status', status: 403, code: 'AccessDenied' }, { where: (r) => r.operation === 'PARTS' });
    expect(await resume()).toEqual({ parts: PARTS, uploads: 1 });
    expect(server.pending).toBe(0);
  });

  test('a part that is not the one that was sent is sent again', async () => {
    const left = await putting.interrupt();
    const body = Buffer.alloc(16 * MIB, 'other');
    await fetch(`${server.endpoint}/bucket/any?uploadId=1&partNumber=2`, { method: 'PUT', body });
    const known = await readFile(await putting.journal(), 'utf8');
    const isRemembered = known.includes('"part":2,');
    expect(await resume()).toEqual({ parts: PARTS - left + (isRemembered ? 1 : 0), uploads: 0 });
    await expectStored(fileBytes(1));
  });

  test('a line of the journal that is torn or spoiled counts nothing', async () => {
    const left = await putting.interrupt();
    const journal = await putting.journal();
    const text = await readFile(journal, 'utf8');
    await truncate(journal, text.length - 5);
    await appendFile(journal, '\n00000000 {"upload":"1","part":5,"etag":"no"}\n');
    expect(await resume()).toEqual({ parts: PARTS - left + 1, uploads: 0 });
    await expectStored(fileBytes(1));
  });

  test('another path of the same source, and other sources, have uploads of their own', async () => {
    await putting.interrupt();
    await putting.put({ prefix: 'elsewhere' });
    expect(server.objects.openUploads).toBe(1);
    expect(server.count('ABORT')).toBe(0);
  });

  test('an object that somebody put meanwhile is taken, and the upload aborted', async () => {
    await putting.interrupt();
    const other = await Putting.start(server.options());
    await other.put();
    expect(await putting.put()).toMatchObject({ uploadedFiles: 0, reusedFiles: 1 });
    expect(server.objects.openUploads).toBe(0);
    expect(await readdir(putting.journals)).toEqual([]);
  });

  test('two puts at once that go on with one upload give one object, and leave nothing behind', async () => {
    await putting.interrupt();
    const reports = await Promise.all([putting.put(), putting.put()]);
    for (const report of reports) expect(report.uploadedFiles + report.reusedFiles).toBe(1);
    await expectStored(fileBytes(1));
    expect(server.objects.openUploads).toBe(0);
    expect(await readdir(putting.journals)).toEqual([]);
  });

  test('a put whose upload another one aborts sends its parts again', async () => {
    await putting.interrupt();
    let isAborted = false;
    const where = ({ operation }: LoggedRequest): boolean => {
      if (operation === 'COMPLETE' && !isAborted) {
        isAborted = true;
        server.objects.abortUploads();
      }
      return false;
    };
    server.fail({ kind: 'no answer' }, { where });
    expect(await resume()).toMatchObject({ uploads: 1 });
    await expectStored(fileBytes(1));
  });

  test('a source that changes while it is sent leaves no upload behind', async () => {
    const where = (request: LoggedRequest): boolean => {
      // Before the answer to the first part, and so before the last part is begun.
      if (isPart(request)) truncateSync(putting.source, SIZE_BYTES - 1);
      return false;
    };
    server.fail({ kind: 'no answer' }, { where });
    await expect(putting.put()).rejects.toMatchObject({ code: 'source_changed' });
    expect(server.objects.openUploads).toBe(0);
    expect(await readdir(putting.journals)).toEqual([]);
  });

  test('where no journal can be kept the put works and says so once', async () => {
    await writeFile(putting.journals, 'a file');
    expect(await putting.put()).toMatchObject({ uploadedFiles: 1 });
    expect(putting.warnings.filter((warning) => warning.includes('no journal of uploads'))).toHaveLength(1);
  });
});
