// The command line against a real S3 server: what other tools put there, and what goes wrong on the way to it.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { expectFailure } from '../support/cli-failure.ts';
import { Cli, statsOf } from '../support/cli.ts';
import { freshBucket, s3Peer } from '../support/peers.ts';

const peer = await s3Peer();
const run = promisify(execFile);

function environment(endpoint: string, secret: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: peer?.accessKeyId ?? 'a',
    AWS_SECRET_ACCESS_KEY: secret,
    SEEKFS_S3_RETRY_MAX_ATTEMPTS: '2',
    SEEKFS_S3_RETRY_INITIAL_BACKOFF_MS: '1',
  };
}

describe('stores that do not answer as they should', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await Cli.create();
    await writeFile(join(cli.work, 'warm.bin'), 'bytes');
  });

  test('an endpoint that nobody listens on', async () => {
    // The port stays taken, at another address, so that nobody comes to listen on it.
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const env = environment(`http://127.0.0.2:${port}`, 'secret-of-mine');
    const says = new RegExp(`127\\.0\\.0\\.2:${port} failed with ECONNREFUSED; check that it is the right endpoint`);
    for (const args of [
      ['cat', 'dev', 'warm.bin'],
      ['put', 'dev', 'warm.bin'],
      ['manifest', 'gen', 'dev'],
    ]) {
      await expectFailure(
        cli,
        [...args, '--store', 's3://b'],
        { status: 15, code: 'store_unavailable', says },
        { env },
      );
    }
    await new Promise((resolve) => server.close(resolve));
  });

  test('an endpoint that does not speak TLS', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const env = environment(`https://127.0.0.1:${port}`, 'secret-of-mine');
    const says = /it may speak plain HTTP: then its URL begins with http:\/\//;
    for (const engine of ['sdk', 'undici']) {
      const expected = { status: 15, code: 'store_unavailable', says };
      const args = ['cat', 'dev', 'warm.bin', '--store', 's3://b'];
      await expectFailure(cli, args, expected, { env: { ...env, SEEKFS_S3_ENGINE: engine } });
    }
    await new Promise((resolve) => server.close(resolve));
  });

  test('a proxy that nobody listens on is named, without its password', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const proxy = `127.0.0.2:${(server.address() as AddressInfo).port}`;
    for (const engine of ['sdk', 'undici']) {
      const env = {
        ...environment('http://store.invalid', 'secret-of-mine'),
        HTTP_PROXY: `http://me:password@${proxy}`,
        SEEKFS_S3_ENGINE: engine,
      };
      const says = new RegExp(`http://store\\.invalid failed with ECONNREFUSED; .*check the proxy http://${proxy}`);
      const args = ['cat', 'dev', 'warm.bin', '--store', 's3://b'];
      await expectFailure(cli, args, { status: 15, code: 'store_unavailable', says }, { env });
    }
    await new Promise((resolve) => server.close(resolve));
  });

  test.skipIf(!peer)('wrong credentials, which are not repeated', async () => {
    const env = environment(peer!.endpoint, 'wrong-secret');
    const args = ['cat', 'dev', 'warm.bin', '--store', `s3://${await freshBucket(peer!, 'cli')}`];
    await expectFailure(cli, args, { status: 12, code: 'access_denied', says: /./ }, { env });
    expect((await cli.run(args, { env })).stderr).not.toContain('wrong-secret');
  });

  test.skipIf(!peer)('a bucket that does not exist', async () => {
    const env = environment(peer!.endpoint, peer!.secretAccessKey);
    const expected = {
      status: 10,
      code: 'bucket_not_found',
      says: /no-such-bucket-here.* 404 NoSuchBucket; create the bucket/,
    };
    for (const args of [
      ['cat', 'dev', 'warm.bin'],
      ['put', 'dev', 'warm.bin'],
      ['manifest', 'gen', 'dev'],
    ]) {
      await expectFailure(cli, [...args, '--store', 's3://no-such-bucket-here'], expected, { env });
    }
  });
});

describe.skipIf(!peer)('objects that other tools put', () => {
  test('an object of `aws s3 cp` is published in place, read back, and cached', async () => {
    const bucket = await freshBucket(peer!, 'cli');
    const env = environment(peer!.endpoint, peer!.secretAccessKey);
    const cli = await Cli.create({ ...env, SEEKFS_STORE: `s3://${bucket}` });
    const bytes = Buffer.from(seededRandom(1).bytes(9 * 2 ** 20 + 17));
    await writeFile(join(cli.work, 'warm.bin'), bytes);
    const uri = `s3://${bucket}/namespaces/dev/files/warm.bin`;
    const aws = ['--endpoint-url', peer!.endpoint, 's3', 'cp', '--only-show-errors', join(cli.work, 'warm.bin'), uri];
    await run('aws', aws, { env: { ...env, PATH: process.env['PATH'] ?? '', HOME: cli.work } });

    await cli.succeed(['manifest', 'gen', 'dev', 'warm.bin']);
    expect((await cli.succeed(['manifest', 'head', 'dev', '--short'])).stdout.toString()).toBe('v-1\n');
    const cold = await cli.succeed(['cat', 'dev', 'warm.bin', '--stats']);
    expect(cold.stdout.equals(bytes)).toBe(true);
    expect(statsOf(cold)).toMatchObject({ get_bytes: bytes.length, meta_gets: 1, heads: 0, lists: 0, puts: 0 });
    expect(statsOf(cold)['gets']).toBeGreaterThan(0);
    const warm = await cli.succeed(['cat', 'dev', 'warm.bin', '--at', '1', '--stats']);
    expect(warm.stdout.equals(bytes)).toBe(true);
    expect(statsOf(warm)).toMatchObject({ gets: 0, get_bytes: 0, meta_gets: 0, heads: 0, lists: 0, puts: 0 });
    expect(statsOf(warm)).toMatchObject({ l2_hit_bytes: bytes.length, pages_fetched: 0 });

    const again = (await cli.json(['manifest', 'gen', 'dev', 'warm.bin'])) as object;
    expect(again).toMatchObject({ published: false, version: 1, read_files: 0 });
    const url = (await cli.succeed(['presign', 'dev', 'warm.bin'])).stdout.toString().trim();
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes)).toBe(true);
  });

  test('put, get and doctor work as on the embedded store', async () => {
    const bucket = await freshBucket(peer!, 'cli');
    const env = environment(peer!.endpoint, peer!.secretAccessKey);
    const cli = await Cli.create({ ...env, SEEKFS_STORE: `s3://${bucket}` });
    await writeFile(join(cli.work, 'warm.bin'), 'some bytes');
    await cli.succeed(['put', 'dev', 'warm.bin']);
    expect(await cli.json(['put', 'dev', 'warm.bin'])).toMatchObject({
      reused_files: 1,
      publish: { published: false },
    });
    expect(await cli.json(['get', 'dev', 'out/'])).toMatchObject({ files: 1, bytes: 10 });
    const { findings } = (await cli.json(['doctor'])) as { findings: { status: string }[] };
    expect(findings.filter(({ status }) => status === 'failed')).toEqual([]);
  });
});
