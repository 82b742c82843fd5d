// Real concurrency: 8 processes at once, each publishing 20 times one file of its own to one namespace.
import { fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { openVersion } from '../../src/lib/manifest/pinned.ts';
import { openObjectStore, type StoreOptions } from '../../src/lib/objectstore/open-object-store.ts';
import { compileForNode } from '../support/compiled.ts';
import { listEntries, listKeys, manifestDeps } from '../support/manifest-deps.ts';
import { freshBucket, peerOptions, s3Peer } from '../support/peers.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const PROCESSES = 8;
const TIMES = 20;
const peer = await s3Peer();
let program: string;
let sources: string;

const nameOf = (worker: number, turn: number): string => `p${worker}-${String(turn).padStart(2, '0')}`;

beforeAll(async () => {
  [program] = (await compileForNode([
    'test/support/programs/publisher.ts',
    'src/lib/manifest/checksum-worker.ts',
    'src/lib/manifest/index-worker.ts',
  ])) as [string];
  sources = await temporaryDirectory('seekfs-publishers');
  for (let worker = 0; worker < PROCESSES; worker += 1) {
    for (let turn = 0; turn < TIMES; turn += 1) {
      await writeFile(join(sources, nameOf(worker, turn)), `content of ${nameOf(worker, turn)}`);
    }
  }
});

/** Resolves with the version that each file was published in. */
function runPublisher(options: StoreOptions, worker: number): Promise<Map<string, number>> {
  const names = Array.from({ length: TIMES }, (_, turn) => nameOf(worker, turn));
  return new Promise((resolve, reject) => {
    const child = fork(program, [JSON.stringify(options), 'dev', sources, ...names], {
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    const versions = new Map<string, number>();
    child.on('message', (message: { name: string; version: number }) => versions.set(message.name, message.version));
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve(versions) : reject(new Error(`publisher ${worker} ended with ${code}`)),
    );
  });
}

async function publishAtOnce(options: StoreOptions): Promise<void> {
  const reported = await Promise.all(Array.from({ length: PROCESSES }, (_, worker) => runPublisher(options, worker)));
  const store = openObjectStore(options, { metrics: new Metrics() });
  const deps = manifestDeps(store);
  try {
    const total = PROCESSES * TIMES;
    const files = await listEntries(deps, 'dev');
    expect(files.map((file) => file.path)).toEqual(
      Array.from({ length: total }, (_, index) => nameOf(Math.floor(index / TIMES), index % TIMES)),
    );
    // No number is missing, each has its predecessor as its parent and one file more.
    const versions = reported.flatMap((of) => [...of.values()]).sort((a, b) => a - b);
    expect(versions).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    for (const of of reported) {
      for (const [name, number] of of) {
        const version = await openVersion(deps, 'dev', { version: number });
        expect(version.header.parents).toEqual(number === 1 ? [] : [number - 1]);
        expect(version.fileCount).toBe(number);
        expect((await version.lookup(name)).path).toBe(name);
        await version.close();
      }
    }
    expect(await listKeys(store, 'namespaces/dev/intents/')).toEqual([]);
  } finally {
    await store.close();
  }
}

describe('8 processes that publish 20 times each to one namespace all succeed, in one line of versions,', () => {
  test('on the directory store', async () => {
    await publishAtOnce({ kind: 'directory', rootPath: join(await temporaryDirectory('seekfs-publish'), 'store') });
  }, 300_000);

  test.skipIf(!peer)(
    'on a real S3 server',
    async () => {
      const bucket = await freshBucket(peer!, 'publishers');
      const { bucket: _, ...s3 } = peerOptions(peer!, bucket);
      await publishAtOnce({
        kind: 's3',
        bucket,
        s3: {
          engine: 'sdk',
          getBudgetPerSec: 10_000,
          maxInflightGets: 16,
          retryMaxAttempts: 3,
          retryInitialBackoffMs: 50,
          ...s3,
        },
      });
    },
    300_000,
  );
});
