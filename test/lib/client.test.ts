import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeekfsError } from '../../src/lib/base/errors.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { startServer, type BlobServer } from '../../src/lib/blobapi/server.ts';
import { parseTokens } from '../../src/lib/blobapi/tokens.ts';
import { SeekfsClient, type BlobOptions } from '../../src/lib/client.ts';
import { memoryData, type MemoryData } from '../support/memory-data.ts';

const BYTES = Buffer.from(seededRandom(3).bytes(500 * KIB));
const PATH = 'dir/a b+c%.bin';

let data: MemoryData;
let server: BlobServer;
let client: SeekfsClient;

beforeEach(async () => {
  data = memoryData({ dev: [{ [PATH]: BYTES, empty: Buffer.alloc(0) }] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
  client = new SeekfsClient({ url: server.url });
});

afterEach(async () => {
  await client.close();
  await server.close({ drainMsMax: 0 });
  expect(data.memory.inUseBytes).toBe(0);
});

async function read(path: string, options?: BlobOptions, from = client): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of from.blob('dev', path, options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('SeekfsClient', () => {
  test('reads files, ranges and nothing', async () => {
    expect((await read(PATH)).equals(BYTES)).toBe(true);
    expect((await read(PATH, { off: 1000, len: 300_000, version: '1' })).equals(BYTES.subarray(1000, 301_000))).toBe(
      true,
    );
    expect((await read(PATH, { off: 511_999, len: 100 })).equals(BYTES.subarray(-1))).toBe(true);
    expect(await read('empty')).toHaveLength(0);
  });

  test.each([
    ['none', {}, 'path_not_found'],
    [PATH, { off: BYTES.length }, 'range_not_satisfiable'],
    [PATH, { version: '9' }, 'version_not_found'],
    [PATH, { hash: '0'.repeat(64) }, 'hash_mismatch'],
    [PATH, { version: 'x' }, 'usage'],
  ])('%s %j is the server’s own error %s', async (path, options, code) => {
    await expect(read(path, options)).rejects.toMatchObject({ code });
  });

  test('goes on from where a connection broke, with the same version', async () => {
    let faults = 2;
    data.memoryReader.onSlab = (_path, off) => {
      if (off < 131_072 || faults === 0) return;
      faults -= 1;
      data.namespaces['dev']!.push({ [PATH]: Buffer.alloc(BYTES.length) });
      throw new SeekfsError('store_unavailable', 'a bad moment');
    };
    expect((await read(PATH)).equals(BYTES)).toBe(true);
    expect(faults).toBe(0);
  });

  test('gives up after its attempts, and says so at once for what no retry mends', async () => {
    let asked = 0;
    data.memoryReader.onSlab = () => {
      asked += 1;
      throw new SeekfsError('store_unavailable', 'gone');
    };
    const patient = new SeekfsClient({ url: server.url, attemptsMax: 3 });
    await expect(read(PATH, {}, patient)).rejects.toMatchObject({ code: 'store_unavailable' });
    await patient.close();
    expect(asked).toBe(3);
    const { port } = new URL(server.url);
    await server.close();
    const alone = new SeekfsClient({ url: `http://127.0.0.1:${port}`, attemptsMax: 1 });
    await expect(read(PATH, {}, alone)).rejects.toThrow(/cannot reach .* is "seekfs serve" running/);
    await alone.close();
  });

  test('readv gives each extent its bytes or its error', async () => {
    const items = await client.readv('dev', [
      { path: PATH, off: 5, len: 10 },
      { path: 'none', off: 0, len: 1 },
      { path: PATH, off: 200_000, len: 200_000 },
    ]);
    expect((items[0] as Buffer).equals(BYTES.subarray(5, 15))).toBe(true);
    expect(items[1]).toMatchObject({ code: 'path_not_found' });
    expect((items[2] as Buffer).equals(BYTES.subarray(200_000, 400_000))).toBe(true);
  });

  test('lists the files of one version, page by page', async () => {
    const files = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`f/${index}`, Buffer.from('x')]));
    data.namespaces['dev']!.push({ ...files, other: Buffer.from('y') });
    const paths: string[] = [];
    for await (const { path, sizeBytes } of client.list('dev', { prefix: 'f/' })) {
      if (paths.length === 0) data.namespaces['dev']!.push({ 'f/new': Buffer.from('z') });
      expect(sizeBytes).toBe(1);
      paths.push(path);
    }
    expect(paths).toEqual(Object.keys(files).sort());
  });

  test('goes to a server below a path', async () => {
    const below = new SeekfsClient({ url: `${server.url}/below/`, attemptsMax: 1 });
    expect(below.url).toBe(`${server.url}/below`);
    await expect(read(PATH, {}, below)).rejects.toThrow(/\/below answered 404|\/below\/blob/);
    await below.close();
  });

  test('hints are taken', async () => {
    await client.hint('dev', { epoch: 1, windows: [{ path: PATH, ranges: [[0, 1000]] }] });
    while (data.memoryReader.warmed.size === 0) await new Promise(setImmediate);
  });

  test('an abort ends the request and the work for it', async () => {
    const abort = new AbortController();
    data.memoryReader.onSlab = (_path, off) => {
      if (off > 0) abort.abort();
    };
    await expect(read(PATH, { signal: abort.signal })).rejects.toMatchObject({ code: 'interrupted' });
    while (data.memoryReader.open > 0) await new Promise(setImmediate);
  });

  test('sends its token', async () => {
    const token = 'client-token-0123456789abcdef';
    const guarded = await startServer(data, {
      listen: { host: '127.0.0.1', port: 0 },
      tokens: parseTokens(`${token} dev`, 'tokens'),
    });
    const [with_, without] = [new SeekfsClient({ url: guarded.url, token }), new SeekfsClient({ url: guarded.url })];
    expect(await read(PATH, { len: 3 }, with_)).toHaveLength(3);
    await expect(read(PATH, {}, without)).rejects.toMatchObject({ code: 'unauthorized' });
    await with_.close();
    await without.close();
    await guarded.close();
  });

  test('a URL that is none is refused', () => {
    expect(() => new SeekfsClient({ url: 'nonsense' })).toThrow(/not a URL/);
    expect(() => new SeekfsClient({ url: 'ftp://x' })).toThrow(/not http/);
  });
});

describe('a server that does not speak this API', () => {
  let other: Server;
  afterEach(() => new Promise((resolve) => other.close(resolve)));

  test.each([
    ['<html>', 500, 'store_unavailable'],
    ['slow down', 503, 'store_throttled'],
  ])('%s with %i is %s', async (body, status, code) => {
    other = createServer((_request, response) => response.writeHead(status, { Connection: 'close' }).end(body));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const lost = new SeekfsClient({ url: `http://127.0.0.1:${(other.address() as AddressInfo).port}`, attemptsMax: 1 });
    await expect(read(PATH, {}, lost)).rejects.toMatchObject({ code });
    await expect(lost.readv('dev', [])).rejects.toMatchObject({ code });
    await lost.close();
  });
});
