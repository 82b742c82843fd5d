// Answers as text, in whatever pieces they come.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnswerParser, type AnswerHead } from '../../../src/lib/objectstore/http-answer.ts';

interface Parsed {
  readonly head: AnswerHead | undefined;
  readonly body: string;
  readonly over: boolean;
  /** Bytes behind the answer. */
  readonly behind: number;
}

/** Each piece in memory that is overwritten afterwards, as a receive buffer is; then the end of the connection, if asked. */
function parse(pieces: readonly string[], options: { method?: 'GET' | 'HEAD'; end?: boolean } = {}): Parsed {
  let [head, body, behind]: [AnswerHead | undefined, string, number] = [undefined, '', 0];
  const parser = new AnswerParser(options.method ?? 'GET', {
    onHead: (seen) => {
      expect(head).toBe(undefined);
      head = seen;
    },
    onData: (chunk) => {
      expect(chunk.length).toBeGreaterThan(0);
      body += chunk.toString('latin1');
    },
  });
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    if (parser.over) behind += bytes.length;
    else behind += parser.take(bytes);
    bytes.fill('X');
  }
  if (options.end) parser.end();
  return { head, body, over: parser.over, behind };
}

const RIGHT: readonly {
  readonly name: string;
  readonly text: string;
  readonly method?: 'HEAD';
  readonly end?: boolean;
  readonly status?: number;
  readonly body?: string;
  readonly fields?: object;
  readonly persistent?: boolean;
}[] = [
  {
    name: 'a length',
    text: 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello',
    status: 206,
    body: 'hello',
  },
  { name: 'no reason', text: 'HTTP/1.1 200\r\ncontent-length:0\r\n\r\n' },
  { name: 'an empty reason', text: 'HTTP/1.1 200 \r\ncontent-length: 0\t \r\n\r\n' },
  {
    name: 'fields with spaces, without a value, and twice',
    text: 'HTTP/1.1 200 OK\r\nETag: \t"a: b" \r\nx-empty:\r\nX-Two: 1\r\nx-two: 2\r\ncontent-length: 0\r\n\r\n',
    fields: { etag: '"a: b"', 'x-empty': '', 'x-two': '1, 2', 'content-length': '0' },
  },
  {
    name: 'fields named as what every object has',
    text: 'HTTP/1.1 200 OK\r\n__proto__: 1\r\n__proto__: 2\r\nconstructor: 3\r\ncontent-length: 0\r\n\r\n',
    fields: JSON.parse('{ "__proto__": "1, 2", "constructor": "3", "content-length": "0" }') as object,
  },
  {
    name: 'interim answers',
    text: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    body: 'ok',
  },
  { name: 'a head request', method: 'HEAD', text: 'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n' },
  { name: 'a head request without a length', method: 'HEAD', text: 'HTTP/1.1 404 Not Found\r\n\r\n', status: 404 },
  { name: '204', text: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204 },
  { name: '304 with a length', text: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n', status: 304 },
  {
    name: 'chunks, an extension and a trailer',
    text: 'HTTP/1.1 404 Not Found\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n000\r\nx-sum: 1\r\n\r\n',
    status: 404,
    body: 'abc0123456789',
  },
  { name: 'no chunks', text: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n' },
  {
    name: 'an end that is announced',
    text: 'HTTP/1.1 200 OK\r\nconnection: x , Close\r\ncontent-length: 0\r\n\r\n',
    persistent: false,
  },
  { name: 'HTTP/1.0', text: 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', body: 'a', persistent: false },
  { name: 'HTTP/1.0 that stays', text: 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n' },
  {
    name: 'the end of the connection',
    text: 'HTTP/1.1 200 OK\r\n\r\nall of it',
    end: true,
    body: 'all of it',
    persistent: false,
  },
];

test.each(RIGHT)('$name: the same in one piece, byte by byte and in any pieces', (answer) => {
  const { text, method = 'GET', end = false, status = 200, body = '', persistent = true } = answer;
  const check = (pieces: readonly string[]): void => {
    const parsed = parse(pieces, { method, end });
    expect(parsed).toMatchObject({ body, over: true, behind: 0, head: { status, persistent } });
    if (answer.fields) expect(parsed.head!.fields).toEqual(answer.fields);
  };
  check([text]);
  check(text.split(''));
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), text.length];
      check(
        at
          .slice(1)
          .map((stop, index) => text.slice(at[index], stop))
          .filter((piece) => piece !== ''),
      );
    }),
  );
});

test.each<[string, string, 'HEAD'?]>([
  ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'],
  ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['neither, to a head request', 'HTTP/1.1 200 OK\r\n\r\n', 'HEAD'],
])('what comes behind an answer with %s is counted, and no part of it', (_, text, method) => {
  const parsed = parse([`${text}HTTP/1.1 200`], method && { method });
  expect(parsed).toMatchObject({ body: method ? '' : 'ok', behind: 12 });
});

const HEAD = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`;

test.each([
  ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['HTTP/2 in words', 'HTTP/2 200\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
  ['a switch of protocols', 'HTTP/1.1 101 Switching\r\n\r\n'],
  ['a control character in the reason', 'HTTP/1.1 200 a\x01\r\n\r\n'],
  ['a line without a colon', `${HEAD}nothing\r\n\r\n`],
  ['a space before the colon', `${HEAD}content-length : 1\r\n\r\na`],
  ['a folded line', `${HEAD}x-a: 1\r\n  2\r\ncontent-length: 0\r\n\r\n`],
  ['a bare line feed in a value', `${HEAD}x-a: 1\nx-b: 2\r\ncontent-length: 0\r\n\r\n`],
  ['a NUL in a value', `${HEAD}x-a: \0\r\n\r\n`],
  ['two lengths', `${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
  ['a length twice', `${HEAD}content-length: 1\r\ncontent-length: 1\r\n\r\na`],
  ['a list of lengths', `${HEAD}content-length: 1, 1\r\n\r\na`],
  ['a negative length', `${HEAD}content-length: -1\r\n\r\n`],
  ['an empty length', `${HEAD}content-length:\r\n\r\n`],
  ['a length past all bounds', `${HEAD}content-length: 9999999999999999\r\n\r\n`],
  ['a length and chunks', `${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['an encoding that nobody asked for', `${HEAD}transfer-encoding: gzip, chunked\r\n\r\n`],
  ['chunks twice', `${HEAD}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`],
  ['a head without an end', `${HEAD}x-a: ${'a'.repeat(20_000)}`],
  ['a head that is too long', `${HEAD}x-a: ${'a'.repeat(20_000)}\r\n\r\n`],
  ['a chunk without a size', `${CHUNKED}\r\nabc\r\n`],
  ['a chunk with a size that is none', `${CHUNKED}0x3\r\nabc\r\n`],
  ['a chunk past all bounds', `${CHUNKED}fffffffffffff\r\n`],
  ['a chunk that is longer than its size', `${CHUNKED}2\r\nabc\r\n`],
  ['an extension without an end', `${CHUNKED}2;${'a'.repeat(5000)}`],
  ['a trailer that is no field', `${CHUNKED}0\r\nnothing\r\n\r\n`],
])('%s is refused', (_, text) => {
  expect(() => parse([text])).toThrow(expect.objectContaining({ code: 'ERR_HTTP_MALFORMED' }));
  expect(() => parse(text.split(''))).toThrow(expect.objectContaining({ code: 'ERR_HTTP_MALFORMED' }));
});

test.each([
  ['nothing', ''],
  ['half a head', 'HTTP/1.1 200 OK\r\ncontent-'],
  ['an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['half a body', `${HEAD}content-length: 5\r\n\r\nhel`],
  ['half a chunk', `${CHUNKED}3\r\na`],
  ['chunks without the last one', `${CHUNKED}1\r\na\r\n`],
  ['a trailer without its end', `${CHUNKED}0\r\n`],
])('a connection that ends behind %s has not answered', (_, text) => {
  expect(() => parse(text === '' ? [] : [text], { end: true })).toThrow(
    expect.objectContaining({ code: 'ERR_CONNECTION_CLOSED' }),
  );
});
