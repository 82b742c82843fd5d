// What no sane client sends, over raw sockets, from fixed seeds: the server answers with an error of its table, with the
// right bytes, or closes; it serves a good client all the while and has nothing left at the end.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERROR_TABLE } from '../../src/lib/base/errors.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { ENDPOINTS } from '../../src/lib/blobapi/endpoints.ts';
import { FRAMES_CONTENT_TYPE } from '../../src/lib/blobapi/frames.ts';
import { startServer, type BlobServer } from '../../src/lib/blobapi/server.ts';
import { ask } from '../support/http.ts';
import { memoryData, type MemoryData } from '../support/memory-data.ts';
import { exchangeRaw, parseAnswers, type RawAnswer } from '../support/raw-http.ts';

const FILE = Buffer.from(seededRandom(11).bytes(200 * KIB));
const SEED = 20_261_121;

let data: MemoryData;
let server: BlobServer;
let port: number;

beforeEach(async () => {
  data = memoryData({ dev: [{ 'a.bin': FILE }] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
  port = Number(new URL(server.url).port);
});

afterEach(async () => {
  // Only this request is open, once the server has heard that the clients have gone.
  while (!(await ask(`${server.url}/metrics`)).body.toString().includes('seekfs_http_active_requests 1\n'));
  await server.close({ drainMsMax: 0 });
  expect([data.memory.inUseBytes, data.memoryReader.open]).toEqual([0, 0]);
  expect(data.pins.closed).toBe(data.pins.opened);
});

interface Draw {
  readonly below: (end: number) => number;
  readonly bytes: (count: number) => Buffer;
  readonly pick: <T>(items: readonly T[]) => T;
}

function draw(seed: number): Draw {
  const random = seededRandom(seed);
  const below = (end: number): number => Math.floor(random.unit() * end);
  return { below, bytes: (count) => Buffer.from(random.bytes(count)), pick: (items) => items[below(items.length)]! };
}

/** An error is JSON of the table; a success of /blob or /readv is a piece of the file; the rest is what it says it is. */
function problemOf({ status, headers, body }: RawAnswer): string | undefined {
  if (status >= 400) {
    try {
      const { error } = JSON.parse(body.toString()) as { error: { code: string; message: string } };
      return error.code in ERROR_TABLE && error.message.length > 0 && error.code !== 'unexpected'
        ? undefined
        : `${status} ${body.toString()}`;
    } catch {
      return `${status} with a body that is no JSON: ${body.toString('latin1', 0, 200)}`;
    }
  }
  if (![200, 202, 206, 304].includes(status)) return `status ${status}`;
  const type = headers.get('content-type') ?? '';
  const isOurs = type !== 'application/octet-stream' || FILE.includes(body);
  return isOurs ? undefined : `${body.length} bytes that are not in the file`;
}

async function good(): Promise<void> {
  const { status, body } = await ask(`${server.url}/blob?ns=dev&path=a.bin&off=1000&len=5000`);
  expect([status, body.equals(FILE.subarray(1000, 6000))]).toEqual([200, true]);
}

/** Runs `count` cases, a good client's request among every ten, and asserts what each of them got. */
async function fuzz(
  count: number,
  caseOf: (random: Draw) => (string | Buffer)[],
  check?: (answers: RawAnswer[]) => void,
): Promise<Set<number>> {
  const statuses = new Set<number>();
  for (let number = 0; number < count; number += 1) {
    const seed = SEED + number;
    const parts = caseOf(draw(seed));
    const { answers } = parseAnswers(await exchangeRaw(port, parts));
    for (const answer of answers) {
      statuses.add(answer.status);
      expect(
        problemOf(answer),
        `seed ${seed}: ${Buffer.concat(parts.map((p) => Buffer.from(p))).toString('latin1', 0, 500)}`,
      ).toBe(undefined);
    }
    check?.(answers);
    if (number % 10 === 0) await good();
  }
  return statuses;
}

const get = (target: string, ...fields: string[]): string =>
  [`GET ${target} HTTP/1.1`, 'Host: x', ...fields, '', ''].join('\r\n');

const post = (target: string, body: string | Buffer, ...fields: string[]): Buffer =>
  Buffer.concat([
    Buffer.from(
      [`POST ${target} HTTP/1.1`, 'Host: x', `Content-Length: ${body.length}`, ...fields, '', ''].join('\r\n'),
    ),
    Buffer.from(body),
  ]);

const EXTENT = '[{"path":"a.bin","off":10,"len":300}]';
const EXTENTS = '[{"path":"a.bin","off":10,"len":20},{"path":"a.bin","off":1000,"len":300}]';

test('random bytes', async () => {
  const statuses = await fuzz(200, ({ below, bytes }) => [bytes(1 + below(3000))]);
  expect(statuses).toEqual(new Set([400]));
});

test('a request with some bytes changed, left out or doubled', async () => {
  const statuses = await fuzz(400, ({ below, bytes, pick }) => {
    const whole = pick([
      Buffer.from(get('/blob?ns=dev&path=a.bin&off=5&len=100', 'Range: bytes=1-5', 'If-None-Match: "x"')),
      post('/readv?ns=dev', EXTENT, `Accept: ${FRAMES_CONTENT_TYPE}`),
      post('/readv?ns=dev&version=1', EXTENT),
    ]);
    let mutant = whole;
    for (let changes = 1 + below(4); changes > 0; changes -= 1) {
      const at = below(mutant.length);
      const with_ = pick([bytes(1), bytes(1 + below(8)), Buffer.alloc(0), mutant.subarray(at, at + below(40))]);
      mutant = Buffer.concat([mutant.subarray(0, at), with_, mutant.subarray(at + below(3))]);
    }
    return [mutant];
  });
  expect(statuses.has(200) && statuses.has(400)).toBe(true);
});

test('floods of header fields are 431 or passed over', async () => {
  const statuses = await fuzz(40, ({ below, bytes, pick }) => {
    const value = bytes(1 + below(40)).toString('hex');
    const fields = pick([
      () => Array.from({ length: below(6000) }, (_, index) => `X-${index}: ${value}`),
      () => [`Cookie: ${value.repeat(1 + below(2000))}`],
      () => Array.from({ length: below(500) }, () => `Range: bytes=${below(100)}-`),
      () => [`Range: bytes=${Array.from({ length: below(2000) }, () => `${below(100)}-${below(999)}`).join(',')}`],
      () => [`If-None-Match: ${'"a",'.repeat(below(5000))}`],
      () => [`If-None-Match: ${'W/"'.repeat(below(5000))}`],
    ])();
    return [get('/blob?ns=dev&path=a.bin&len=10', ...fields)];
  });
  expect(statuses.has(431)).toBe(true);
  expect(statuses.has(500)).toBe(false);
});

test('pipelined requests are answered in their order, also after errors', async () => {
  for (let number = 0; number < 20; number += 1) {
    const { below, pick } = draw(SEED + number);
    const wanted: (Buffer | number)[] = [];
    const parts = Array.from({ length: 1 + below(60) }, () => {
      const [off, len] = [below(FILE.length), 1 + below(3000)];
      return pick<() => string | Buffer>([
        () => (wanted.push(FILE.subarray(off, off + len)), get(`/blob?ns=dev&path=a.bin&off=${off}&len=${len}`)),
        () => (wanted.push(404), get('/blob?ns=dev&path=none')),
        () => (wanted.push(400), get('/blob?ns=dev&path=a.bin&off=x')),
        () => (
          wanted.push(Buffer.concat([FILE.subarray(10, 30), FILE.subarray(1000, 1300)])),
          post('/readv?ns=dev', EXTENTS)
        ),
      ])();
    });
    const { answers, isCut } = parseAnswers(
      await exchangeRaw(port, [Buffer.concat(parts.map((part) => Buffer.from(part)))]),
    );
    expect(isCut).toBe(false);
    const got = answers.map(({ status, body }) => (status === 200 ? body.toString('hex') : status));
    expect(got, `seed ${SEED + number}`).toEqual(
      wanted.map((each) => (typeof each === 'number' ? each : each.toString('hex'))),
    );
  }
});

test('lengths and chunks that lie', async () => {
  const sizes = [
    '',
    '-1',
    '+5',
    '0x5',
    'g',
    'ffffffffffffffffff',
    '7fffffffffffffff',
    '5;a=b',
    '5 ',
    ' 5',
    '00000000005',
  ];
  const statuses = await fuzz(200, ({ below, bytes, pick }) => {
    const chunks = Array.from(
      { length: below(4) },
      () => `${pick([...sizes, '5', 'a'])}\r\n${bytes(below(10)).toString('hex')}\r\n`,
    );
    const chunked = `${chunks.join('')}${pick(['0\r\n\r\n', '0\r\nX: y\r\n\r\n', '', '0'])}`;
    const lengths = ['5', '0', '-1', '1e3', '99999999999999999999', '5, 5', '5\r\nContent-Length: 6', ''];
    const framing = pick([
      ['Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', `Content-Length: ${pick(lengths)}`],
      ['Transfer-Encoding: gzip, chunked'],
      ['Transfer-Encoding: chunked, chunked'],
      ['Transfer-Encoding: identity'],
      [`Content-Length: ${pick(lengths)}`],
      ['Content-Encoding: gzip', 'Content-Length: 5'],
      ['Expect: 100-continue', 'Content-Length: 5'],
      ['Expect: nonsense', 'Content-Length: 5'],
      ['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 5'],
    ]);
    const target = pick(['/readv?ns=dev', '/hints?ns=dev', '/blob?ns=dev&path=a.bin&len=3', '/nowhere']);
    const method = pick(['POST', 'GET', 'PUT']);
    return [[`${method} ${target} HTTP/1.1`, 'Host: x', ...framing, '', chunked].join('\r\n')];
  });
  expect(statuses.has(400)).toBe(true);
});

test('targets and queries in every encoding', async () => {
  const pieces =
    '% %0 %00 %ff %c0%af %ed%a0%80 %F0%9F%98%80 %2e%2e%2f .. / // \\ + & && = ? # ; " \' < | ~ é ns=dev path=a.bin off= len=1 ' +
    `version= hash= __proto__ constructor prefix= limit= start_after= key=namespaces/dev/files/a.bin ${'a'.repeat(200)}`;
  const roots = [
    ...Object.values(ENDPOINTS).map(({ path }) => path),
    '',
    '*',
    'http://x/blob',
    '/BLOB',
    '/blob/',
    '/%62lob',
  ];
  const methods = ['GET', 'GET', 'GET', 'POST', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND'];
  const statuses = await fuzz(400, ({ below, pick }) => {
    const query = Array.from({ length: below(12) }, () => pick(pieces.split(' '))).join(pick(['', '&']));
    return [get(`${pick(roots)}?${query}`, 'Connection: close').replace('GET', pick(methods))];
  });
  expect([...statuses].filter((status) => status >= 500)).toEqual([]);
});

test('numbers beyond every bound', async () => {
  const huge = [
    '9007199254740991',
    '9007199254740992',
    '18446744073709551616',
    '1e999',
    '-0',
    '0'.repeat(500),
    '9'.repeat(5000),
  ];
  const statuses = await fuzz(150, ({ pick }) => {
    const number = (): string => pick(huge);
    const extent = `[{"path":"a.bin","off":${number()},"len":${number()}}]`;
    return [
      pick<() => string | Buffer>([
        () => get(`/blob?ns=dev&path=a.bin&off=${number()}&len=${number()}`),
        () => get(`/blob?ns=dev&path=a.bin&version=${number()}`),
        () => get('/blob?ns=dev&path=a.bin', `Range: bytes=${number()}-${number()}`),
        () => get('/blob?ns=dev&path=a.bin', `Range: bytes=-${number()}`),
        () => get(`/ls?ns=dev&limit=${number()}`),
        () => post('/readv?ns=dev', extent),
        () => post('/readv?ns=dev', extent, `Accept: ${FRAMES_CONTENT_TYPE}`),
        () =>
          post(
            '/hints?ns=dev',
            `{"epoch":${number()},"ttl_ms":${number()},"windows":[{"path":"a.bin","ranges":[[${number()},${number()}]]}]}`,
          ),
      ])(),
    ];
  });
  expect(statuses.has(400) && statuses.has(416)).toBe(true);
  expect([...statuses].filter((status) => status >= 500)).toEqual([]);
});

test('JSON that is none of ours', async () => {
  const statuses = await fuzz(200, ({ below, bytes, pick }) => {
    const value = (depth: number): string =>
      pick<() => string>([
        () => pick(['null', 'true', '-1', '1e400', '1.5', '""', '"a.bin"', '"\\ud800"', '"\\u0000"', '{}', '[]']),
        () => (depth === 0 ? '0' : `[${Array.from({ length: below(4) }, () => value(depth - 1)).join(',')}]`),
        () => {
          const names = ['path', 'off', 'len', 'windows', 'ranges', 'ns', '__proto__', 'constructor', 'x'];
          const pair = (): string => `"${pick(names)}":${value(Math.max(0, depth - 1))}`;
          return `{${Array.from({ length: below(5) }, pair).join(',')}}`;
        },
      ])();
    const body = pick<() => string | Buffer>([
      () => value(4),
      () => `[${value(3)}]`,
      () => '['.repeat(1 + below(200_000)),
      () => `${EXTENTS}${bytes(3).toString('hex')}`,
      () => bytes(1 + below(500)),
      () => Buffer.concat([Buffer.from('[{"path":"'), bytes(8), Buffer.from('","off":0,"len":1}]')]),
    ])();
    return [post(pick(['/readv?ns=dev', '/hints?ns=dev']), body)];
  });
  expect([...statuses].filter((status) => status >= 500)).toEqual([]);
});

test('a request that arrives in two parts, cut at every byte', async () => {
  const requests: [Buffer, Buffer][] = [
    [Buffer.from(get('/blob?ns=dev&path=a.bin&off=7&len=30', 'Range: bytes=1-9')), FILE.subarray(8, 17)],
    [post('/readv?ns=dev', EXTENTS), Buffer.concat([FILE.subarray(10, 30), FILE.subarray(1000, 1300)])],
  ];
  for (const [request, wanted] of requests) {
    for (let cut = 1; cut < request.length; cut += 1) {
      const { answers } = parseAnswers(await exchangeRaw(port, [request.subarray(0, cut), request.subarray(cut)]));
      expect(
        answers.map(({ body }) => body.equals(wanted)),
        `cut at ${cut}`,
      ).toEqual([true]);
    }
  }
});
