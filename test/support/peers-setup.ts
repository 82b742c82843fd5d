// vitest's globalSetup: starts real servers for the tests on demand, once per run, and ends them with it. Test files are
// processes of their own, so they ask over HTTP (see peers.ts).
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

export interface S3Peer {
  readonly name: string;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export type PeerAnswer = { readonly peer: S3Peer } | { readonly missing: string };

declare module 'vitest' {
  export interface ProvidedContext {
    readonly peersUrl: string;
  }
}

const script = fileURLToPath(new URL('../../.ci/rgw.sh', import.meta.url));
const run = promisify(execFile);
const TESTED_BINARIES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph', 'radosgw-admin', 'curl'];

async function missingBinaries(): Promise<string[]> {
  const found = await Promise.all(
    TESTED_BINARIES.map((name) =>
      run('sh', ['-c', `command -v ${name}`]).then(
        () => [],
        () => [name],
      ),
    ),
  );
  return found.flat();
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  let directory: string | undefined;
  let starting: Promise<PeerAnswer> | undefined;

  const start = async (): Promise<PeerAnswer> => {
    const { SEEKFS_TEST_S3_ENDPOINT: endpoint, SEEKFS_TEST_S3_ACCESS_KEY, SEEKFS_TEST_S3_SECRET } = process.env;
    const common = { region: 'us-east-1' };
    if (endpoint) {
      const accessKeyId = SEEKFS_TEST_S3_ACCESS_KEY ?? 'test';
      return {
        peer: {
          ...common,
          name: endpoint,
          endpoint,
          accessKeyId,
          secretAccessKey: SEEKFS_TEST_S3_SECRET ?? 'testtest',
        },
      };
    }
    const missing = await missingBinaries();
    if (missing.length > 0) return { missing: `not installed: ${missing.join(', ')}` };
    directory = join(await mkdtemp(join(tmpdir(), 'seekfs-rgw-')), 'rgw');
    const { stdout } = await run(script, ['start', directory]);
    const rgw = { ...common, accessKeyId: 'test', secretAccessKey: 'testtest' };
    return { peer: { ...rgw, name: 'Ceph RGW', endpoint: stdout.trim().split('\n').at(-1)! } };
  };

  const server = createServer((_, response) => {
    starting ??= start().catch((error: unknown) => ({ missing: `did not start: ${String(error)}` }));
    void starting.then((answer) => response.end(JSON.stringify(answer)));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  project.provide('peersUrl', `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);

  return async () => {
    server.close();
    await starting;
    if (directory === undefined) return;
    await run(script, ['stop', directory]);
    await rm(join(directory, '..'), { recursive: true, force: true });
  };
}
