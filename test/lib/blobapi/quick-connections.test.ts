// The same bytes to a server that reads simple requests by itself and to one that leaves all to node:http: what comes
// back, what is counted and what is logged must be the same. Then what only connections have: ends, drains, time limits.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../src/lib/base/log.ts';
import type { MetricName } from '../../../src/lib/base/metrics.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { startServer, type BlobServer, type ServerOptions } from '../../../src/lib/blobapi/server.ts';
import { parseTokens } from '../../../src/lib/blobapi/tokens.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';
import { converseRaw, exchangeRaw, parseAnswers } from '../../support/raw-http.ts';

const FILE = Buffer.from(seededRandom(5).bytes(100 * KIB));
const BIG = Buffer.from(seededRandom(6).bytes(4 * MIB));
const TOKEN = 'dev-token-0123456789abcdef';

interface Side {
  readonly data: MemoryData;
  readonly server: BlobServer;
  readonly port: number;
  readonly lines: unknown[];
}

let sides: Side[] = [];
/** Requests that node:http parsed, by port. */
let parsed: Map<number, number>;

function onParsed(message: unknown): void {
  const { port } = (message as { server: Server }).server.address() as AddressInfo;
  parsed.set(port, (parsed.get(port) ?? 0) + 1);
}

beforeEach(() => {
  parsed = new Map();
  subscribe('http.server.request.start', onParsed);
});

afterEach(async () => {
  unsubscribe('http.server.request.start', onParsed);
  const closing = sides;
  sides = [];
  for (const { server } of closing) await server.close({ drainMsMax: 0 });
  for (const { data } of closing) {
    expect([data.memory.inUseBytes, data.memoryReader.open]).toEqual([0, 0]);
    expect(data.pins.closed).toBe(data.pins.opened);
  }
});

async function start(options: Partial<ServerOptions> & { isWarm?: boolean } = {}): Promise<Side> {
  const lines: unknown[] = [];
  const log: Logger = {
    log: (level, message, fields) =>
      lines.push({ level, message, fields: { ...fields, request_id: 'masked', elapsed_ms: 'masked' } }),
  };
  const files = { 'a.bin': FILE, 'dir/b c+d.txt': Buffer.from('0123456789'), empty: Buffer.alloc(0), big: BIG };
  const data = { ...memoryData({ dev: [{ 'a.bin': Buffer.from('old') }, files] }), log };
  data.memoryReader.isWarm = options.isWarm ?? true;
  const server = await startServer(data, {
    listen: { host: '127.0.0.1', port: 0 },
    requestLog: { every: true },
    ...options,
  });
  const side = { data, server, port: Number(new URL(server.url).port), lines };
  sides.push(side);
  return side;
}

/** Without what differs from one moment to the next. */
function masked(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replaceAll(/\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/g, '\r\nDate: now\r\n')
    .replaceAll(/\r\nX-Request-Id: [0-9a-f]{6}-[0-9a-z]+\r\n/g, '\r\nX-Request-Id: ours\r\n')
    .replaceAll(/(boundary=|--)[0-9a-f]{32}/g, '$1boundary');
}

const COUNTED: readonly MetricName[] = [
  'seekfs_http_requests_total',
  'seekfs_http_request_seconds',
  'seekfs_http_sent_bytes_total',
  'seekfs_http_refused_total',
  'seekfs_http_aborted_total',
];

/** Of a histogram how many there were, not how long they took. */
function counted({ data }: Side): unknown[] {
  const samples = data.metrics.samples().filter(({ name }) => COUNTED.includes(name));
  return samples
    .map(({ name, labels, value, counts }) => ({ name, labels, value: value ?? counts!.reduce((a, b) => a + b, 0) }))
    .sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
}

type Parts = readonly (string | Buffer)[];

const get = (target: string, ...fields: string[]): string =>
  [`GET ${target} HTTP/1.1`, 'Host: x', ...fields, '', ''].join('\r\n');

const A = '/blob?ns=dev&path=a.bin';

const SIMPLE: readonly string[] = [
  get(`${A}&off=5&len=100`),
  get(A, 'Range: bytes=0-4095'),
  get(A, 'range:bytes=-3', 'USER-AGENT: t', 'accept: */*', 'Connection: Keep-Alive'),
  get(A, 'Range: bytes=102399-'),
  get(A, 'Range: bytes=5-4'),
  get(A, 'Range: bytes=102400-'),
  get(A, 'Range: bytes=5-9999999999999999'),
  get(`${A}&off=100&len=50`, 'Range: bytes=-5', 'X-Request-Id: mine.1'),
  get(`${A}&off=102400`),
  get(`${A}&len=0`),
  get(`${A}&version=1`),
  get(`${A}&version=9`),
  get(`${A}&off=x`),
  get(`${A}&off=1&off=2`),
  get(`${A}&unknown=1`),
  get(`${A}&hash=${'0'.repeat(64)}`),
  get('/blob?ns=dev&path=none'),
  get('/blob?ns=none&path=a'),
  get('/blob?ns=dev'),
  get('/blob?path=a.bin'),
  get('/blob?&&ns=dev&path=dir%2Fb+c%2Bd.txt&'),
  get('/blob?ns=dev&path=dir/b%20c%2bd.txt'),
  get('/blob?ns=dev&path=%ff'),
  get('/blob?ns=dev&path=%zz'),
  get('/blob?ns=dev&path=%00'),
  get('/blob?ns=dev&path=empty', 'Range: bytes=0-1'),
  get(A, `Authorization: Bearer ${TOKEN}`, 'Range: bytes=1-2'),
  get(A, 'Authorization: Bearer wrong-token-0123456789ab', 'Range: bytes=1-2'),
  get('/blob?ns=other&path=a.bin', `Authorization: Bearer ${TOKEN}`),
  get('/blob?ns=dev&path=big', 'Range: bytes=1000000-1000099'),
];

const OTHER: readonly string[] = [
  get(A, 'If-None-Match: *'),
  get(A, 'If-Match: "x"'),
  get(A, 'If-Range: "x"', 'Range: bytes=0-9'),
  get(A, 'Range: bytes=0-1,5-6'),
  get(A, 'Range: bytes=0-9', 'Range: bytes=5-6'),
  get(A, 'Range:  bytes=0-9 '),
  get(A, 'Origin: http://evil', 'Sec-Fetch-Site: cross-site'),
  get(A, 'Content-Length: 0'),
  get(A, 'Expect: 100-continue'),
  get(A, 'Cookie: a=b'),
  get(`http://x${A}`),
  get('/blob'),
  get('/healthz'),
  get('/nowhere?ns=dev'),
  get(A, `User-Agent: ${'a'.repeat(3000)}`),
  get(`${A}&x=${'y'.repeat(9000)}`),
  `\r\n${get(A)}`,
];

/** After which the connection may end: by what they ask for, as the version of Node has it, or where tokens are asked for. */
const FATAL: readonly string[] = [
  'POST /readv?ns=dev HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n[{"path":"a.bin","off":10,"len":   100}]',
  get(A, 'Connection: close'),
  get(A, 'Transfer-Encoding: chunked'),
  get(A).replace('1.1', '1.0'),
  get(A, 'Connection: close').replace('GET', 'HEAD'),
  get(A).replace('GET', 'DELETE'),
  get(A).replaceAll('\r\n', '\n'),
  get(A).replace(A, `${A}&off=1 &len=2`),
  get(A, ...Array.from({ length: 2000 }, (_, index) => `X-${index}: 1`)),
  'GARBAGE\r\n\r\n',
  `${get(A)}x`,
  get(A, 'Accept: a', ' folded'),
  get(A, 'Expect: nothing'),
  get(A).replace('Host: x\r\n', ''),
];

/** After which the server ends the connection, if it has not before. */
const LAST = get('/healthz', 'Connection: close');

async function expectSame(cases: readonly Parts[], send: typeof converseRaw): Promise<void> {
  const [quick, plain] = sides;
  for (const parts of cases) {
    const [a, b] = [quick!, plain!].map(({ port }) => send(port, parts));
    expect(masked(await a!), JSON.stringify(parts.map(String)).slice(0, 2000)).toBe(masked(await b!));
  }
}

function expectSameTraces(): void {
  const [quick, plain] = sides;
  expect(quick!.lines).toEqual(plain!.lines);
  expect(counted(quick!)).toEqual(counted(plain!));
}

describe.each<[string, Partial<ServerOptions> & { readonly isWarm: boolean }]>([
  ['that is warm', { isWarm: true }],
  ['that is cold', { isWarm: false }],
  ['that asks for tokens', { isWarm: true, tokens: parseTokens(`${TOKEN} dev`, 'tokens') }],
  ['whose answers pages may read', { isWarm: true, corsOrigins: ['http://good'] }],
  ['with a small bound for heads', { isWarm: true, limits: { headerBytesMax: 100, urlBytesMax: 40 } }],
])('a server %s answers as with node:http', (_, options) => {
  const headBytesMax = options.limits?.headerBytesMax ?? Infinity;
  beforeEach(async () => {
    await start(options);
    await start({ ...options, quick: false });
  });

  test('one request a connection', async () => {
    await expectSame(
      [...SIMPLE, ...OTHER, ...FATAL].map((request) => [request, LAST]),
      converseRaw,
    );
    expectSameTraces();
    const [quick, plain] = sides.map(({ port }) => parsed.get(port)!);
    // Node:http parsed none of the simple ones, and of the others those that are requests at all.
    expect(plain! - quick!).toBe(SIMPLE.filter(({ length }) => length < headBytesMax).length);
  });

  const drawn = (seed: number) => {
    const random = seededRandom(seed);
    const below = (end: number): number => Math.floor(random.unit() * end);
    const pick = (list: readonly string[]): string => list[below(list.length)]!;
    const several = (): string[] =>
      Array.from({ length: 1 + below(4) }, () => pick(random.unit() < 0.8 ? SIMPLE : OTHER)).filter(
        ({ length }) => length < headBytesMax,
      );
    return { below, pick, several };
  };

  test('several requests, one after the other', async () => {
    const { pick, several } = drawn(77);
    await expectSame(
      Array.from({ length: 200 }, () => [...several(), pick(FATAL), LAST]),
      converseRaw,
    );
    expectSameTraces();
  });

  test('several requests together, cut anywhere', async () => {
    const { below, several } = drawn(78);
    const cases = Array.from({ length: 300 }, () => {
      const text = several().join('') + LAST;
      const ends = Array.from({ length: below(4) }, () => 1 + below(text.length - 1)).sort((a, b) => a - b);
      return [...new Set([...ends, text.length])].map((end, index, all) => text.slice(all[index - 1] ?? 0, end));
    });
    await expectSame(cases, (port, parts) => exchangeRaw(port, parts, { listens: true }));
    expectSameTraces();
  });
});

/** Holds reads that the cache has not until it is opened. */
function gate({ memoryReader }: MemoryData): { reached: Promise<void>; open: () => void } {
  memoryReader.isWarm = false;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => {
    memoryReader.onSlab = () => {
      resolve();
      return opened;
    };
  });
  return { reached, open };
}

const aborted = (by: string): number => sides[0]!.data.metrics.get('seekfs_http_aborted_total', { by });

function connectTo({ port }: Side): Socket {
  return connect({ port, host: '127.0.0.1', noDelay: true });
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString('latin1');
  return text;
}

/** The next bytes that come. */
const next = (socket: Socket): Promise<Buffer> => new Promise((resolve) => void socket.once('data', resolve));

describe('a connection', () => {
  test('that sends while its answer is under way gets its answers in order, and is handed over where it must', async () => {
    const side = await start();
    const { reached, open } = gate(side.data);
    const socket = connectTo(side);
    const text = textOf(socket);
    socket.write(get(`${A}&len=5`));
    await reached;
    socket.write(get('/blob?ns=dev&path=none'));
    socket.write(get('/healthz'));
    // Another client's turn is after theirs.
    await converseRaw(side.port, [LAST]);
    open();
    socket.write(LAST);
    const { answers } = parseAnswers(Buffer.from(await text, 'latin1'));
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200, 200]);
    expect(answers[0]!.body.equals(FILE.subarray(0, 5))).toBe(true);
  });

  test.each([
    ['goes away', (socket: Socket) => void socket.destroy()],
    ['ends its side', (socket: Socket) => void socket.end()],
  ])('that %s before its answer leaves nothing, and is counted', async (_, leave) => {
    const side = await start();
    const socket = connectTo(side).resume();
    const ended = new Promise<void>((resolve) => {
      side.data.memoryReader.isWarm = false;
      side.data.memoryReader.onSlab = (_path, _off, signal) =>
        new Promise((_resolve, reject) => {
          signal!.addEventListener('abort', () => {
            resolve();
            reject(signal!.reason as Error);
          });
          leave(socket);
        });
    });
    socket.write(get(A));
    await ended;
    expect(aborted('client')).toBe(1);
    expect(side.lines).toMatchObject([{ fields: { status: 499, complete: false, bytes: 0 } }]);
  });

  test('that ends its side while its answer is on its way gets all of it, as it was', async () => {
    const side = await start();
    // More than the kernel takes from a client that reads nothing.
    const huge = Buffer.from(seededRandom(7).bytes(16 * MIB));
    side.data.namespaces['dev']!.push({ 'a.bin': FILE, huge });
    side.data.memoryReader.cachedSlabsMax = Infinity;
    const socket = connectTo(side);
    socket.end(get('/blob?ns=dev&path=huge&version=3'));
    // Slabs that were given back too early would be filled with these.
    for (let count = 0; count < 5; count += 1) await converseRaw(side.port, [get(A), LAST]);
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    const { answers } = parseAnswers(Buffer.concat(chunks));
    expect(answers.map(({ status, body }) => [status, body.equals(huge)])).toEqual([[200, true]]);
    expect(aborted('client')).toBe(0);
  });

  test('that was told its end is heard no more', async () => {
    const side = await start({ limits: { headMsMax: 30 } });
    const socket = connect({ port: side.port, host: '127.0.0.1', allowHalfOpen: true });
    const text = textOf(socket);
    socket.once('data', () => socket.end(get(A)));
    expect(await text).toMatch(/^HTTP\/1\.1 408 /);
    await converseRaw(side.port, [LAST]);
    expect([side.lines.length, aborted('client')]).toEqual([1, 0]);
  });

  test.each([
    ['quick', 'is fetched', 1],
    ['quick', 'is cached', Infinity],
    ['node:http', 'is cached', Infinity],
  ])('that goes in the middle of a large answer leaves nothing, %s, where it %s', async (by, _, slabs) => {
    const side = await start({ quick: by === 'quick' });
    side.data.memoryReader.cachedSlabsMax = slabs;
    for (let count = 0; count < 20; count += 1) {
      const socket = connectTo(side);
      socket.write(get('/blob?ns=dev&path=big'));
      await next(socket);
      socket.destroy();
    }
  });

  test('that sends nothing is told so and closed', async () => {
    const side = await start({ limits: { headMsMax: 30 } });
    expect(await textOf(connectTo(side))).toMatch(/^HTTP\/1\.1 408 [^]*did not arrive in time/);
  });

  test('that sends nothing more is closed', async () => {
    const side = await start({ limits: { idleMsMax: 30 } });
    const socket = connectTo(side);
    const text = textOf(socket);
    socket.write(get(`${A}&len=1`));
    expect(await text).toMatch(/^HTTP\/1\.1 200 /);
    expect(parsed.get(side.port)).toBe(undefined);
  });

  test('that is idle ends when the server drains; one that waits gets its answer first, as the last', async () => {
    const side = await start();
    const idle = connectTo(side);
    idle.write(get(`${A}&len=1`));
    await next(idle);
    const silent = connectTo(side);
    const { reached, open } = gate(side.data);
    const busy = connectTo(side);
    busy.write(get(`${A}&len=7`));
    await reached;
    const closed = side.server.close({ drainMsMax: 60_000 });
    expect([await textOf(idle), await textOf(silent)]).toEqual(['', '']);
    open();
    const { answers } = parseAnswers(Buffer.from(await textOf(busy), 'latin1'));
    expect(answers[0]!.headers.get('connection')).toBe('close');
    expect(answers[0]!.body.equals(FILE.subarray(0, 7))).toBe(true);
    await closed;
    expect(aborted('shutdown')).toBe(0);
  });
});
