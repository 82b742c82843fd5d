import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { decodeFrameHead, FRAME_HEAD_BYTES, FRAMES_CONTENT_TYPE } from '../../../src/lib/blobapi/frames.ts';
import { startServer, type BlobServer } from '../../../src/lib/blobapi/server.ts';
import { ask as askUrl, errorOf, type Answer, type Ask } from '../../support/http.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';

const BYTES = Buffer.from(seededRandom(1).bytes(300 * KIB));
const OLD = Buffer.from('the first version');

let data: MemoryData;
let server: BlobServer;

beforeEach(async () => {
  data = memoryData({
    dev: [{ 'a.bin': OLD }, { 'a.bin': BYTES, 'dir/b c+d.txt': Buffer.from('0123456789'), empty: Buffer.alloc(0) }],
  });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
});

afterEach(async () => {
  await server.close({ drainMsMax: 0 });
  expect(data.memory.inUseBytes, 'every slab was given back').toBe(0);
  expect(data.memoryReader.open, 'every read was ended').toBe(0);
  expect(data.pins.closed, 'every version was closed').toBe(data.pins.opened);
});

const ask = (target: string, options?: Ask): Promise<Answer> => askUrl(`${server.url}${target}`, options);

const ETAG = `"sha256:${createHash('sha256').update(BYTES).digest('hex')}"`;

describe('GET /blob', () => {
  test('gives the whole file with its hash as the ETag', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin');
    expect(answer.status).toBe(200);
    expect(answer.body.equals(BYTES)).toBe(true);
    expect(answer.headers).toMatchObject({ etag: ETAG, 'accept-ranges': 'bytes', 'x-seekfs-version': '2' });
    expect(answer.headers['content-length']).toBe(String(BYTES.length));
  });

  test.each([
    ['off=5', 5, undefined],
    ['off=5&len=7', 5, 7],
    ['len=0', 0, 0],
    ['off=131071&len=2', 131_071, 2],
    ['off=307199&len=100', 307_199, 1],
    ['len=9007199254740991', 0, undefined],
  ])('%s is clipped at the end of the file', async (parameters, off, len) => {
    const answer = await ask(`/blob?ns=dev&path=a.bin&${parameters}`);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(BYTES.subarray(off, len === undefined ? undefined : off + len))).toBe(true);
  });

  test('decodes the path as forms do', async () => {
    const answer = await ask('/blob?ns=dev&path=dir%2Fb+c%2Bd.txt');
    expect(answer.body.toString()).toBe('0123456789');
  });

  test('an empty file is an empty 200, whatever the Range', async () => {
    const answer = await ask('/blob?ns=dev&path=empty', { headers: { range: 'bytes=0-5' } });
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
  });

  test('an offset at the end is 416 with the size', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin&off=307200');
    expect(answer.status).toBe(416);
    expect(answer.headers['content-range']).toBe('bytes */307200');
    expect(errorOf(answer).code).toBe('range_not_satisfiable');
  });

  test('a version that is asked for is served, the current one otherwise', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin&version=1');
    expect([answer.body.toString(), answer.headers['x-seekfs-version']]).toEqual([OLD.toString(), '1']);
  });

  test('the hash that is asked for must be the one of the manifest', async () => {
    const good = await ask(`/blob?ns=dev&path=a.bin&len=1&hash=${ETAG.slice(1, -1)}`);
    expect(good.status).toBe(200);
    const bad = await ask(`/blob?ns=dev&path=a.bin&len=1&hash=sha256:${'0'.repeat(64)}`);
    expect([bad.status, errorOf(bad).code]).toEqual([409, 'hash_mismatch']);
  });

  test('HEAD has the header fields of GET and no body, and passes over a Range', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin&off=10&len=20', {
      method: 'HEAD',
      headers: { range: 'bytes=0-1' },
    });
    expect([answer.status, answer.headers['content-length'], answer.body.length]).toEqual([200, '20', 0]);
  });

  test.each([
    ['bytes=0-0', 206, 'bytes 0-0/307200', 0, 1],
    ['bytes=-3', 206, 'bytes 307197-307199/307200', 307_197, 307_200],
    ['bytes=307199-', 206, 'bytes 307199-307199/307200', 307_199, 307_200],
    ['bytes=5-99999999999999999999', 206, 'bytes 5-307199/307200', 5, 307_200],
    ['bytes=x', 200, undefined, 0, 307_200],
    ['lines=1-2', 200, undefined, 0, 307_200],
    ['bytes=5-4', 200, undefined, 0, 307_200],
  ])('Range %s', async (range, status, contentRange, start, end) => {
    const answer = await ask('/blob?ns=dev&path=a.bin', { headers: { range } });
    expect([answer.status, answer.headers['content-range']]).toEqual([status, contentRange]);
    expect(answer.body.equals(BYTES.subarray(start, end))).toBe(true);
  });

  test('a Range selects within the window that off and len name', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin&off=100&len=50', { headers: { range: 'bytes=-5' } });
    expect(answer.headers['content-range']).toBe('bytes 45-49/50');
    expect(answer.body.equals(BYTES.subarray(145, 150))).toBe(true);
  });

  test('a Range past the end is 416', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin', { headers: { range: 'bytes=307200-' } });
    expect([answer.status, answer.headers['content-range']]).toEqual([416, 'bytes */307200']);
  });

  test('several ranges are multipart/byteranges of the announced length', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin', { headers: { range: 'bytes=0-9, 131070-131080,-1' } });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    const boundary = /boundary=(\w+)$/.exec(answer.headers['content-type']!)![1]!;
    const parts = answer.body.toString('latin1').split(`--${boundary}`);
    expect(parts.at(-1)).toBe('--\r\n');
    const bodies = parts.slice(1, -1).map((part) => part.slice(part.indexOf('\r\n\r\n') + 4, -2));
    const expected = [BYTES.subarray(0, 10), BYTES.subarray(131_070, 131_081), BYTES.subarray(-1)];
    expect(bodies).toEqual(expected.map((bytes) => bytes.toString('latin1')));
    expect(parts[2]).toContain('Content-Range: bytes 131070-131080/307200\r\n');
  });

  test.each([
    ['If-None-Match', ETAG, 304],
    ['If-None-Match', `W/${ETAG}`, 304],
    ['If-None-Match', '*', 304],
    ['If-None-Match', '"other"', 200],
    ['If-Match', ETAG, 200],
    ['If-Match', '*', 200],
    ['If-Match', `W/${ETAG}`, 412],
    ['If-Match', '"other"', 412],
  ])('%s: %s gives %i', async (name, value, status) => {
    const answer = await ask('/blob?ns=dev&path=a.bin&len=1', { headers: { [name]: value } });
    expect(answer.status).toBe(status);
    if (status === 304) expect([answer.headers.etag, answer.body.length]).toEqual([ETAG, 0]);
  });

  test.each([
    [ETAG, 206],
    [`W/${ETAG}`, 200],
    ['"other"', 200],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 200],
  ])('If-Range: %s makes a Range %i', async (ifRange, status) => {
    const answer = await ask('/blob?ns=dev&path=a.bin', { headers: { range: 'bytes=0-1', 'if-range': ifRange } });
    expect(answer.status).toBe(status);
  });
});

describe('bad input', () => {
  test.each(['off', 'len', 'version'])('%s that is no whole number is 400 and is named', async (name) => {
    for (const value of ['', '-1', '1.5', 'x', '1e3', '0x10', '+1', '%201', '99999999999999999999', 'NaN']) {
      const answer = await ask(`/blob?ns=dev&path=a.bin&${name}=${value}`);
      expect(answer.status, `${name}=${value}`).toBe(400);
      expect(errorOf(answer)).toMatchObject({ code: 'usage', message: expect.stringContaining(`"${name}"`) });
    }
  });

  test.each([
    ['/blob?path=a.bin', '"ns" is missing'],
    ['/blob?ns=dev', '"path" is missing'],
    ['/blob?ns=&path=a.bin', '"ns" is empty'],
    ['/blob?ns=dev&path=', '"path" is empty'],
    ['/blob?ns=dev&path=a.bin&path=a.bin', '"path" is given more than once'],
    ['/blob?ns=dev&path=a.bin&off=1&off=1', '"off" is given more than once'],
    ['/blob?ns=dev&path=a.bin&length=1', '"length" is not known'],
    ['/blob?ns=dev&path=%ff', '"path" is not percent-encoded UTF-8'],
    ['/blob?ns=dev&path=%', '"path" is not percent-encoded UTF-8'],
    ['/blob?ns=dev&path=a.bin&version=0', '"version" is 0'],
    ['/blob?ns=dev&path=a.bin&hash=abc', '"hash" is not 64 lower-case hex digits'],
    ['/ls?ns=dev&limit=0', '"limit" is 0'],
    ['/healthz?x=1', '"x" is not known'],
  ])('%s is 400', async (target, message) => {
    const answer = await ask(target);
    expect(answer.status).toBe(400);
    expect(errorOf(answer).message).toContain(message);
  });

  test.each([
    ['/blob?ns=no&path=a.bin', 'namespace_not_found'],
    ['/blob?ns=dev&path=no', 'path_not_found'],
    ['/blob?ns=dev&path=a.bin&version=99', 'version_not_found'],
    ['/nowhere', 'usage'],
  ])('%s is 404 and says which', async (target, code) => {
    const answer = await ask(target);
    expect([answer.status, errorOf(answer).code]).toEqual([404, code]);
  });

  test('another method is 405 with those that exist', async () => {
    const answer = await ask('/blob?ns=dev&path=a.bin', { method: 'DELETE' });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD']);
    const readv = await ask('/readv?ns=dev');
    expect([readv.status, readv.headers.allow]).toEqual([405, 'POST']);
  });
});

describe('POST /readv', () => {
  const post = (body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
    ask('/readv?ns=dev', { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });

  test('concatenates the extents in request order, each clipped', async () => {
    const answer = await post([
      { path: 'a.bin', off: 307_190, len: 100 },
      { path: 'dir/b c+d.txt', off: 3, len: 4 },
      { path: 'empty', off: 0, len: 5 },
      { path: 'a.bin', off: 0, len: 200_000 },
    ]);
    expect(answer.status).toBe(200);
    const expected = Buffer.concat([BYTES.subarray(307_190), Buffer.from('3456'), BYTES.subarray(0, 200_000)]);
    expect(answer.body.equals(expected)).toBe(true);
    expect(answer.headers['content-length']).toBe(String(expected.length));
  });

  test.each([
    ['not json', 400, 'no JSON'],
    ['', 400, 'missing'],
    ['{}', 400, 'not an array'],
    ['[]', 400, 'empty array'],
    ['[1]', 400, '"[0]"'],
    ['[{"path":"a.bin","off":0}]', 400, '"[0].len" is missing'],
    ['[{"path":"a.bin","off":-1,"len":1}]', 400, '"[0].off" is -1'],
    ['[{"path":"a.bin","off":0,"len":1.5}]', 400, '"[0].len" is 1.5'],
    ['[{"path":"a.bin","off":"0","len":1}]', 400, '"[0].off" is "0"'],
    ['[{"path":"","off":0,"len":1}]', 400, '"[0].path" is empty'],
    ['[{"path":"a.bin","off":0,"len":1,"x":1}]', 400, '"[0].x" is not known'],
    ['[{"path":"a.bin","off":0,"len":1},{"path":"no","off":0,"len":1}]', 404, 'no'],
    ['[{"path":"a.bin","off":307200,"len":1}]', 416, '307200'],
  ])('%s is %i', async (body, status, message) => {
    const answer = await post(body);
    expect(answer.status).toBe(status);
    expect(errorOf(answer).message).toContain(message);
  });

  test('a body that is too large is 413, whether it says so or not', async () => {
    const body = `[${' '.repeat(5 * 1024 * KIB)}]`;
    expect((await post(body)).status).toBe(413);
    expect((await post(body, { 'transfer-encoding': 'chunked' })).status).toBe(413);
  });

  test('frames give each extent its own status', async () => {
    data.memoryReader.onSlab = (_path, off) => {
      if (off === 131_072) throw new SeekfsError('page_corrupt', 'granule 1 is bad');
    };
    const answer = await post(
      [
        { path: 'a.bin', off: 0, len: 10 },
        { path: 'no', off: 0, len: 10 },
        { path: 'a.bin', off: 400_000, len: 10 },
        { path: 'a.bin', off: 131_000, len: 10_000 },
        { path: 'empty', off: 0, len: 1 },
        { path: 'a.bin', off: 20, len: 10 },
      ],
      { accept: FRAMES_CONTENT_TYPE },
    );
    const frames = decodeFrames(answer.body);
    expect(frames.map(({ index, status }) => [index, status])).toEqual([
      [0, 200],
      [1, 404],
      [2, 416],
      [3, 502],
      [4, 200],
      [5, 200],
    ]);
    expect(frames[0]!.bytes.equals(BYTES.subarray(0, 10))).toBe(true);
    expect(frames[3]!.bytes.toString()).toContain('page_corrupt');
    expect(frames[5]!.bytes.equals(BYTES.subarray(20, 30))).toBe(true);
  });
});

function decodeFrames(body: Buffer): { index: number; status: number; bytes: Buffer }[] {
  const frames = [];
  for (let off = 0; off < body.length;) {
    const { index, status, lengthBytes } = decodeFrameHead(body.subarray(off, off + FRAME_HEAD_BYTES));
    off += FRAME_HEAD_BYTES;
    frames.push({ index, status, bytes: body.subarray(off, off + lengthBytes) });
    off += lengthBytes;
  }
  return frames;
}

describe('failures and disconnects', () => {
  test('a failure before the first byte is a JSON error', async () => {
    data.memoryReader.onSlab = () => {
      throw new SeekfsError('page_corrupt', 'page 0 is bad');
    };
    const answer = await ask('/blob?ns=dev&path=a.bin');
    expect([answer.status, errorOf(answer).code]).toEqual([502, 'page_corrupt']);
  });

  test('a failure after the first byte breaks the connection off', async () => {
    data.memoryReader.onSlab = (_path, off) => {
      if (off > 0) throw new SeekfsError('page_corrupt', 'granule 1 is bad');
    };
    await expect(ask('/blob?ns=dev&path=a.bin')).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });

  test('throttling by the store is 503 with its Retry-After', async () => {
    data.memoryReader.onSlab = () => {
      throw new SeekfsError('store_throttled', 'slow down', { retryAfterMs: 2500 });
    };
    const answer = await ask('/blob?ns=dev&path=a.bin');
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '3']);
  });

  test('a defect is 500 and tells nothing of itself', async () => {
    data.memoryReader.onSlab = () => {
      throw new Error('secret detail');
    };
    const answer = await ask('/blob?ns=dev&path=a.bin');
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain('secret');
  });

  test('a client that goes away aborts the read', async () => {
    const aborted = new Promise<void>((resolve) => {
      data.memoryReader.onSlab = (_path, off, signal) => {
        if (off === 0) return undefined;
        client.destroy();
        return new Promise((_resolve, reject) => {
          signal!.addEventListener('abort', () => {
            resolve();
            reject(signal!.reason as Error);
          });
        });
      };
    });
    const client = connect(Number(new URL(server.url).port), '127.0.0.1');
    client.write('GET /blob?ns=dev&path=a.bin HTTP/1.1\r\nHost: x\r\n\r\n');
    await aborted;
  });

  test('a client that does not read holds a bounded number of slabs, and gets all when it reads on', async () => {
    data.namespaces['dev']!.push({ big: Buffer.alloc(24 * 1024 * KIB, 7) });
    const client = connect(Number(new URL(server.url).port), '127.0.0.1');
    client.pause();
    const stalled = new Promise<void>((resolve) => {
      let last = -1;
      const timer = setInterval(() => {
        const inUse = data.memory.inUseBytes;
        if (inUse > 0 && inUse === last && client.readableLength > 0) {
          clearInterval(timer);
          resolve();
        }
        last = inUse;
      }, 50);
    });
    client.write('GET /blob?ns=dev&path=big&version=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    client.once('readable', () => undefined);
    await stalled;
    expect(data.memory.inUseBytes).toBeLessThanOrEqual(4 * 128 * KIB);
    let received = 0;
    for await (const chunk of client as AsyncIterable<Buffer>) received += chunk.length;
    expect(received).toBeGreaterThan(24 * 1024 * KIB);
  });

  test.each([
    ['GARBAGE\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    [`GET /blob?ns=dev&path=${'x'.repeat(9000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 414],
  ])('what is no request of ours is refused (%#)', async (bytes, status) => {
    const client = connect(Number(new URL(server.url).port), '127.0.0.1');
    client.write(bytes);
    let text = '';
    for await (const chunk of client as AsyncIterable<Buffer>) text += chunk.toString();
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toContain('{"error":{"code":"usage"');
  });
});

describe('the other endpoints', () => {
  test('/healthz and /readyz answer, the second with reasons', async () => {
    expect((await ask('/healthz')).status).toBe(200);
    const ready = await ask('/readyz');
    expect(JSON.parse(ready.body.toString())).toEqual({
      status: 'ready',
      checks: [{ name: 'store', ok: true, reason: 'answers' }],
    });
  });

  test('/readyz is 503 with the reasons where something is not as it should be', async () => {
    const findings = [
      { name: 'store', ok: false, reason: 'cannot reach it' },
      { name: 'cache', ok: true, reason: 'can be written' },
    ];
    await server.close({ drainMsMax: 0 });
    server = await startServer(
      { ...data, readiness: async () => findings },
      { listen: { host: '127.0.0.1', port: 0 } },
    );
    const answer = await ask('/readyz');
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body.toString())).toEqual({ status: 'not ready', checks: findings });
  });

  test('/manifest is the manifest under its own names, packed where that is accepted', async () => {
    const packed = await ask('/manifest?ns=dev', { headers: { 'accept-encoding': 'gzip' } });
    expect(packed.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(packed.body).equals((await ask('/manifest?ns=dev')).body)).toBe(true);
    const manifest = JSON.parse((await ask('/manifest?ns=dev&version=1')).body.toString()) as Record<string, unknown>;
    expect(manifest).toMatchObject({ version: 1, parents: [], created_at: 1_700_000_000 });
    expect(manifest['files']).toMatchObject([{ path: 'a.bin', size: OLD.length, page_table: [{ page_id: 0 }] }]);
  });

  test('/ls lists by prefix, in pieces', async () => {
    const list = async (more: string): Promise<{ files: { path: string }[]; next_start_after: string | null }> =>
      JSON.parse((await ask(`/ls?ns=dev${more}`)).body.toString());
    expect((await list('')).files.map(({ path }) => path)).toEqual(['a.bin', 'dir/b c+d.txt', 'empty']);
    expect((await list('&prefix=dir/')).files).toHaveLength(1);
    expect((await list('&prefix=none')).files).toEqual([]);
    expect(await list('&limit=1')).toMatchObject({ files: [{ path: 'a.bin' }], next_start_after: 'a.bin' });
    expect(await list('&limit=2&start_after=a.bin')).toMatchObject({ next_start_after: null });
  });

  test('/metrics is Prometheus text', async () => {
    const answer = await ask('/metrics');
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.body.toString()).toContain('# TYPE seekfs_store_gets_total counter\n');
  });
});
