import { createServer, type IncomingHttpHeaders } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom, type Random } from '../../../src/lib/base/random.ts';
import { parseSimpleRequest, SIMPLE_REQUEST_BYTES_MAX } from '../../../src/lib/blobapi/simple-request.ts';

const parse = (text: string): ReturnType<typeof parseSimpleRequest> => parseSimpleRequest(Buffer.from(text, 'latin1'));

const LINE = 'GET /blob?ns=dev&path=a.bin HTTP/1.1\r\n';
const PLAIN = `${LINE}Host: x\r\n\r\n`;

describe('what is recognised', () => {
  test('is a GET of a blob with its target and fields as they were sent', () => {
    const text = `GET /blob?ns=dev&path=dir%2Fb+c&off=5 HTTP/1.1\r\nHost: [::1]:7070\r\nRANGE:bytes=0-9\r\nUser-Agent: a b/1\r\n\r\n`;
    expect(parse(text)).toEqual({
      url: '/blob?ns=dev&path=dir%2Fb+c&off=5',
      headers: { host: '[::1]:7070', range: 'bytes=0-9', 'user-agent': 'a b/1' },
    });
  });

  test.each(['bytes=0-0', 'bytes=5-', 'bytes=-5', 'bytes=9007199254740991-9007199254740991'])(
    'has one range, %s',
    (range) => {
      expect(parse(`${LINE}Host: x\r\nRange: ${range}\r\n\r\n`)?.headers.range).toBe(range);
    },
  );

  test('what wrk, curl, undici, Node and Python send', () => {
    for (const fields of [
      'Host: 127.0.0.1:7070\r\nRange: bytes=0-4095\r\n',
      'Host: 127.0.0.1:7070\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n',
      'host: 127.0.0.1:7070\r\nconnection: keep-alive\r\nrange: bytes=0-4095\r\nauthorization: Bearer abc/+=\r\n',
      'host: 127.0.0.1:7070\r\nconnection: keep-alive\r\nrange: bytes=0-10\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: identity\r\n',
      'Host: localhost:7070\r\nUser-Agent: python-requests/2.32\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n',
    ]) {
      expect(parse(`${LINE}${fields}\r\n`), fields).toBeDefined();
    }
  });

  test('reaches to the bound in length and not further', () => {
    const fill = (length: number): string => `${LINE}Host: x\r\nUser-Agent: ${'a'.repeat(length)}\r\n\r\n`;
    const room = SIMPLE_REQUEST_BYTES_MAX - fill(0).length;
    expect(parse(fill(room))).toBeDefined();
    expect(parse(fill(room + 1))).toBeUndefined();
  });
});

test.each<[string, string]>([
  ['nothing', ''],
  ['another method', PLAIN.replace('GET', 'HEAD')],
  ['a method in small letters', PLAIN.replace('GET', 'get')],
  ['another endpoint', PLAIN.replace('/blob?', '/readv?')],
  ['no query', PLAIN.replace('?ns=dev&path=a.bin', '')],
  ['an empty query', PLAIN.replace('ns=dev&path=a.bin', '')],
  ['a path that only begins so', PLAIN.replace('/blob?', '/blob/?')],
  ['an absolute target', PLAIN.replace('/blob', 'http://x/blob')],
  ['a fragment', PLAIN.replace('a.bin', 'a.bin#b')],
  ['a space in the target', PLAIN.replace('a.bin', 'a b')],
  ['a quote in the target', PLAIN.replace('a.bin', 'a"b')],
  ['a byte over 127 in the target', PLAIN.replace('a.bin', 'a\xe4b')],
  ['two spaces before the version', PLAIN.replace(' HTTP', '  HTTP')],
  ['a tab before the version', PLAIN.replace(' HTTP', '\tHTTP')],
  ['HTTP/1.0', PLAIN.replace('1.1', '1.0')],
  ['HTTP/0.9', 'GET /blob?ns=dev&path=a.bin\r\n\r\n'],
  ['an empty line before it', `\r\n${PLAIN}`],
  ['a byte after it', `${PLAIN}G`],
  ['an empty line after it', `${PLAIN}\r\n`],
  ['two requests', PLAIN + PLAIN],
  ['another request that ends the same', `${PLAIN}POST / HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['no end', PLAIN.slice(0, -2)],
  ['bare line feeds', PLAIN.replaceAll('\r\n', '\n')],
  ['a bare line feed in a value', `${LINE}Host: x\r\nAccept: a\nContent-Length: 5\r\n\r\n`],
  ['a bare carriage return in a value', `${LINE}Host: x\r\nAccept: a\rb\r\n\r\n`],
  ['a carriage return before the end of a line', `${LINE}Host: x\r\r\n\r\n`],
  ['a NUL', `${LINE}Host: x\r\nAccept: a\0b\r\n\r\n`],
  ['a tab in a value', `${LINE}Host: x\r\nAccept: a\tb\r\n\r\n`],
  ['a byte over 127 in a value', `${LINE}Host: x\r\nAccept: \xe4\r\n\r\n`],
  ['a space before the colon', `${LINE}Host : x\r\n\r\n`],
  ['a tab before the value', `${LINE}Host:\tx\r\n\r\n`],
  ['two spaces before the value', `${LINE}Host:  x\r\n\r\n`],
  ['a space after the value', `${LINE}Host: x \r\n\r\n`],
  ['a folded field', `${LINE}Host: x\r\nAccept: a\r\n b\r\n\r\n`],
  ['a line without a colon', `${LINE}Host: x\r\nAccept\r\n\r\n`],
  ['a field without a name', `${LINE}Host: x\r\n: a\r\n\r\n`],
  ['a field without a value', `${LINE}Host: x\r\nAccept:\r\n\r\n`],
  ['no field', `${LINE}\r\n`],
  ['no Host', `${LINE}Accept: */*\r\n\r\n`],
  ['an empty Host', `${LINE}Host: \r\n\r\n`],
  ['two Hosts', `${LINE}Host: x\r\nhost: x\r\n\r\n`],
  ['a list of Hosts', `${LINE}Host: x, y\r\n\r\n`],
  ['two Ranges', `${LINE}Host: x\r\nRange: bytes=0-1\r\nRange: bytes=0-1\r\n\r\n`],
  ['several ranges', `${LINE}Host: x\r\nRange: bytes=0-1,3-4\r\n\r\n`],
  ['a range in another unit', `${LINE}Host: x\r\nRange: lines=0-1\r\n\r\n`],
  ['a range without numbers', `${LINE}Host: x\r\nRange: bytes=-\r\n\r\n`],
  ['a huge range', `${LINE}Host: x\r\nRange: bytes=0-99999999999999999\r\n\r\n`],
  ...[
    'Content-Length: 0',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'TE: trailers',
    'Trailer: X',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Connection: close',
    'Connection: upgrade',
    'Connection: keep-alive, close',
    'Connection: keep-alive, range',
    'Proxy-Connection: keep-alive',
    'If-None-Match: "x"',
    'If-Match: "x"',
    'If-Range: "x"',
    'If-Modified-Since: Sat, 21 Nov 2026 00:00:00 GMT',
    'Origin: http://x',
    'Sec-Fetch-Site: none',
    'Cookie: a=b',
    'X-Forwarded-For: 1.2.3.4',
    'X-Other: 1',
    '__proto__: x',
    'constructor: x',
  ].map((field): [string, string] => [field, `${LINE}Host: x\r\n${field}\r\n\r\n`]),
])('%s is not recognised', (_, text) => {
  expect(parse(PLAIN), 'without it the request is').toBeDefined();
  expect(parse(text)).toBeUndefined();
});

describe('node:http agrees', () => {
  let seen: { method: string; url: string; headers: IncomingHttpHeaders }[] = [];
  let errors = 0;
  const server = createServer((request, response) => {
    seen.push({ method: request.method!, url: request.url!, headers: request.headers });
    request.resume().on('end', () => response.end());
  });
  server.on('clientError', (_, socket) => {
    errors += 1;
    socket.destroy();
  });
  beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => void server.close());

  /** What node:http makes of the bytes, until it has answered all or closed. */
  async function parsedByNode(bytes: Buffer): Promise<typeof seen> {
    seen = [];
    await new Promise<void>((resolve) => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => socket.end(bytes));
      socket.resume().on('error', () => undefined);
      socket.on('close', () => resolve());
    });
    return seen;
  }

  const PARTS = [
    'GET',
    ' ',
    '/blob?ns=dev&path=a',
    '&off=1',
    '%20',
    ' HTTP/1.1',
    '\r\n',
    '\r\n',
    'Host: x',
    'Range: bytes=1-2',
    'Accept: */*',
    'Connection: keep-alive',
    'Connection: close',
    'Content-Length: 3',
    ':',
    '\n',
    '\t',
    ' b',
    '\0',
    'POST',
    'a',
    '\xff',
  ];

  /** A good request with a few parts put in, taken out or changed. */
  function mutated(random: Random): Buffer {
    const parts = [LINE, 'Host: x', '\r\n', 'Range: bytes=0-9', '\r\n', 'User-Agent: t', '\r\n', '\r\n'];
    const at = (length: number): number => Math.floor(random.unit() * length);
    for (let count = at(4); count > 0; count -= 1) {
      const part = PARTS[at(PARTS.length)]!;
      const removed = random.unit() < 0.5 ? 1 : 0;
      parts.splice(at(parts.length), removed, ...(random.unit() < 0.8 ? [part] : []));
    }
    const bytes = Buffer.from(parts.join(''), 'latin1');
    if (random.unit() < 0.2 && bytes.length > 0) bytes[at(bytes.length)] = at(256);
    return bytes;
  }

  test('with every one of 3,000 mutated requests that is recognised', async () => {
    const random = seededRandom(20_261);
    let recognised = 0;
    for (let index = 0; index < 3000; index += 1) {
      const bytes = mutated(random);
      const simple = parseSimpleRequest(bytes);
      if (!simple) continue;
      recognised += 1;
      expect(await parsedByNode(bytes), bytes.toString('latin1')).toEqual([{ method: 'GET', ...simple }]);
    }
    expect(recognised).toBeGreaterThan(500);
    expect(errors).toBe(0);
  });
});
