// Connections that share one buffer, against servers that write exactly what a test says, when it says so.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import {
  PlainHttp,
  type GetControl,
  type GetRequest,
  type PlainHttpOptions,
} from '../../../src/lib/objectstore/plain-http.ts';
import { DEFAULT_TIMEOUTS } from '../../../src/lib/objectstore/s3-options.ts';
import { patternBytes } from '../../support/store-bytes.ts';

const CLOSE: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of CLOSE.splice(0).reverse()) await close();
});

/** Calls `answer` for every request, by its path. */
async function serve(answer: (socket: Socket, path: string) => void): Promise<{ origin: string; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    // The requests of these tests are short: each comes in one piece.
    socket.on('data', (request: Buffer) => answer(socket, /^GET (\S+) /.exec(request.toString())![1]!));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  CLOSE.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

function openClient(options: Partial<PlainHttpOptions> = {}): PlainHttp {
  const client = new PlainHttp({ connectionsMax: 8, timeouts: DEFAULT_TIMEOUTS, ...options });
  CLOSE.push(() => client.destroy());
  return client;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

interface Watching {
  readonly request?: Partial<GetRequest>;
  readonly onStart?: (control: GetControl) => void;
  readonly onHead?: (control: GetControl) => void;
  /** Sees each chunk when it has been copied. */
  readonly onChunk?: (control: GetControl, chunk: Buffer) => void;
}

/** Copies what it is given, as a sink must. */
function get(client: PlainHttp, origin: string, path: string, watching: Watching = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let [status, headers]: [number, Answer['headers']] = [0, {}];
    const chunks: Buffer[] = [];
    client.dispatch(
      { origin, path, method: 'GET', headers: {}, ...watching.request },
      {
        onRequestStart: (control) => watching.onStart?.(control),
        onResponseStart: (control, seen, fields) => {
          [status, headers] = [seen, fields];
          watching.onHead?.(control);
        },
        onResponseData: (control, chunk) => {
          chunks.push(Buffer.from(chunk));
          watching.onChunk?.(control, chunk);
        },
        onResponseEnd: () => resolve({ status, headers, body: Buffer.concat(chunks) }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const turn = (left: number): void => void (left === 0 ? resolve() : setImmediate(turn, left - 1));
    turn(count);
  });
}

function head(bodyBytes: number, more = ''): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${bodyBytes}\r\n${more}\r\n`;
}

/** Bodies by path, `/off+len`. */
function bodyOf(path: string): Buffer {
  const [off, len] = path.slice(1).split('+').map(Number);
  return patternBytes({ off: off!, len: len! });
}

function sendBody(socket: Socket, path: string): void {
  const body = bodyOf(path);
  socket.write(head(body.length));
  socket.write(body);
}

/** Pauses at every chunk for so many turns. */
function slow(count: number): Watching {
  return {
    onChunk: (control) => {
      control.pause();
      void turns(count).then(() => control.resume());
    },
  };
}

test('reads that are held back in the middle of what has arrived, beside others that are not, give the right bytes', async () => {
  const { origin } = await serve(sendBody);
  const client = openClient();
  const paths = [0, 1, 2, 3, 4, 5].map((index) => `/${index * 1000}+${3 * MIB + index}`);
  const answers = await Promise.all(
    paths.map((path, index) => get(client, origin, path, index === 0 ? {} : slow(index))),
  );
  for (const [index, path] of paths.entries()) expect(answers[index]!.body.equals(bodyOf(path)), path).toBe(true);
});

test('what a held reader has not taken outlives what others receive meanwhile', async () => {
  // One read brings several chunks of the body; the reader stops at the first of them.
  const parts = Array.from({ length: 40 }, (_, index) => patternBytes({ off: index * 333, len: 5000 }));
  const chunked = [
    ...parts.map((part) => `${part.length.toString(16)}\r\n${part.toString('latin1')}\r\n`),
    '0\r\n\r\n',
  ];
  const { origin } = await serve((socket, path) => {
    if (path !== '/chunked') sendBody(socket, path);
    else
      socket.write(Buffer.from(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunked.join('')}`, 'latin1'));
  });
  const client = openClient();
  let held = 0;
  const answer = await get(client, origin, '/chunked', {
    onChunk: (control, chunk) => {
      held = Math.max(held, parts.length * 5000 - chunk.length);
      control.pause();
      void get(client, origin, `/7+${MIB}`).then(
        () => control.resume(),
        () => control.abort(new Error('other')),
      );
    },
  });
  expect(held).toBeGreaterThan(0);
  expect(answer.body.equals(Buffer.concat(parts))).toBe(true);
});

test('a head that comes in pieces is not overwritten by what others receive in between', async () => {
  const long = 'v'.repeat(9000);
  const stopped: Socket[] = [];
  const { origin } = await serve((socket, path) => {
    if (path !== '/pieces') {
      sendBody(socket, path);
      return;
    }
    socket.write(`HTTP/1.1 200 Fine\r\nx-first: one\r\nx-long: ${long}\r\nx-cut: be`);
    stopped.push(socket);
  });
  const client = openClient();
  const answer = get(client, origin, '/pieces');
  while (stopped.length === 0) await turns(1);
  await get(client, origin, `/0+${2 * MIB}`);
  stopped[0]!.write('fore\r\nx-last: four\r\ncontent-length: 3\r\n\r\nabc');
  const { headers, body } = await answer;
  expect(headers).toMatchObject({ 'x-first': 'one', 'x-long': long, 'x-cut': 'before', 'x-last': 'four' });
  expect(body.toString()).toBe('abc');
});

test('an interim answer and the final one in one piece are both understood', async () => {
  const { origin } = await serve((socket) => {
    socket.write(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${head(5)}hello`);
  });
  const { status, body } = await get(openClient(), origin, '/');
  expect([status, body.toString()]).toEqual([200, 'hello']);
});

test('a held reader holds the store back', async () => {
  const length = 64 * MIB;
  const body = patternBytes({ off: 0, len: length });
  let sent = false;
  const { origin } = await serve((socket, path) => {
    if (path !== '/held') sendBody(socket, path);
    else {
      socket.write(head(length));
      socket.write(body, () => (sent = true));
    }
  });
  const client = openClient();
  let sentWhileHeld: boolean | undefined;
  const answer = await get(client, origin, '/held', {
    onChunk: (control) => {
      if (sentWhileHeld !== undefined) return;
      sentWhileHeld = false;
      control.pause();
      void (async () => {
        // More than both kernels keep for a connection had time to come.
        for (let other = 0; other < 4; other += 1) await get(client, origin, `/0+${8 * MIB}`);
        sentWhileHeld = sent;
        control.resume();
      })();
    },
  });
  expect(answer.body.equals(body)).toBe(true);
  expect(sentWhileHeld).toBe(false);
});

test('a connection is used again, one that has ended or speaks unasked is not', async () => {
  const over = new Set<Socket>();
  const { origin, sockets } = await serve((socket, path) => {
    expect(over.has(socket)).toBe(false);
    if (path === '/twice') socket.write(`${head(3)}one${head(5)}wrong`);
    else if (path === '/end') socket.end(`${head(3)}end`);
    else sendBody(socket, path);
    if (path === '/twice' || path === '/end') over.add(socket);
  });
  const client = openClient({ connectionsMax: 1 });
  const ask = async (path: string): Promise<string> => (await get(client, origin, path)).body.toString('latin1');
  const right = patternBytes({ off: 5, len: 100 }).toString('latin1');
  expect(await ask('/5+100')).toBe(right);
  expect(await ask('/5+100')).toBe(right);
  expect(sockets).toHaveLength(1);
  for (const [path, text] of [
    ['/twice', 'one'],
    ['/end', 'end'],
  ] as const) {
    expect(await ask(path)).toBe(text);
    for (const socket of over) if (!socket.closed) await once(socket, 'close');
    expect(await ask('/5+100')).toBe(right);
  }
  expect(over.size).toBe(2);
});

test.each(['end', 'resetAndDestroy'] as const)('a body that is cut off by %s is an error', async (how) => {
  const { origin } = await serve((socket) => {
    socket.write(head(MIB));
    socket.write(patternBytes({ off: 0, len: MIB / 2 }), () => void socket[how]());
  });
  await expect(get(openClient(), origin, '/')).rejects.toBeInstanceOf(Error);
});

test.each(['end', 'resetAndDestroy'] as const)('so it is where the reader was held meanwhile (%s)', async (how) => {
  const { origin } = await serve((socket) => {
    socket.write(head(MIB));
    socket.write(patternBytes({ off: 0, len: MIB / 2 }), () => void socket[how]());
  });
  await expect(get(openClient(), origin, '/', slow(20))).rejects.toBeInstanceOf(Error);
});

test('a connection that brings more than was asked for is not used again', async () => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const { origin, sockets } = await serve((socket) => socket.write(answer + answer));
  const client = openClient();
  for (const path of ['/a', '/b']) expect((await get(client, origin, path)).body.toString()).toBe('ok');
  expect(sockets.length).toBe(2);
});

test('an answer without a length ends with its connection', async () => {
  const body = patternBytes({ off: 0, len: MIB });
  const { origin } = await serve((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    socket.end(body);
  });
  expect((await get(openClient(), origin, '/', slow(1))).body.equals(body)).toBe(true);
});

test('an aborted request leaves the others alone', async () => {
  const { origin } = await serve(sendBody);
  const client = openClient();
  const aborted = get(client, origin, `/0+${4 * MIB}`, {
    onChunk: (control) => control.abort(new Error('enough')),
  });
  const other = get(client, origin, `/9+${4 * MIB}`, slow(1));
  await expect(aborted).rejects.toThrow('enough');
  expect((await other).body.equals(bodyOf(`/9+${4 * MIB}`))).toBe(true);
});

test('a refused connection is the error that it is', async () => {
  const { origin } = await serve(sendBody);
  const { port } = new URL(origin);
  await CLOSE.pop()!();
  await expect(get(openClient(), `http://127.0.0.1:${port}`, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('so many connections at most, and everybody gets an answer', async () => {
  const held: (() => void)[] = [];
  const { origin, sockets } = await serve((socket, path) => {
    held.push(() => void socket.write(`${head(path.length)}${path}`));
  });
  const client = openClient({ connectionsMax: 3 });
  const paths = Array.from({ length: 10 }, (_, index) => `/${index}`);
  let ended = 0;
  const answers = paths.map(async (path) => {
    const { body } = await get(client, origin, path);
    ended += 1;
    return body.toString();
  });
  while (held.length < 3) await turns(1);
  await turns(20);
  expect([held.length, sockets.length]).toEqual([3, 3]);
  while (ended < paths.length) {
    held.shift()?.();
    await turns(1);
  }
  expect(await Promise.all(answers)).toEqual(paths);
  expect(sockets).toHaveLength(3);
});

test('a request that is aborted while it waits is never sent', async () => {
  const asked: string[] = [];
  const held: Socket[] = [];
  const { origin } = await serve((socket, path) => {
    asked.push(path);
    held.push(socket);
  });
  const client = openClient({ connectionsMax: 1 });
  const first = get(client, origin, '/first');
  let control: GetControl | undefined;
  const second = get(client, origin, '/second', { onStart: (given) => (control = given) });
  const third = get(client, origin, '/third');
  while (held.length === 0) await turns(1);
  control!.abort(new Error('not any more'));
  await expect(second).rejects.toThrow('not any more');
  held.shift()!.write(head(0));
  await first;
  while (held.length === 0) await turns(1);
  held.shift()!.write(head(0));
  await third;
  expect(asked).toEqual(['/first', '/third']);
});

test('a connection whose answer is over is there for the request that this lets go', async () => {
  const { origin, sockets } = await serve(sendBody);
  const client = openClient();
  for (let round = 0; round < 20; round += 1) await get(client, origin, '/3+50');
  expect(sockets).toHaveLength(1);
});

test('who has paused at the last chunk does not hold up what comes next on the connection', async () => {
  const { origin, sockets } = await serve(sendBody);
  const client = openClient({ connectionsMax: 1 });
  for (let round = 0; round < 3; round += 1) {
    const { body } = await get(client, origin, '/3+50', { onChunk: (control) => control.pause() });
    expect(body.equals(bodyOf('/3+50'))).toBe(true);
  }
  expect(sockets).toHaveLength(1);
});

test('a request that asks for it ends its connection, also where the store would keep it', async () => {
  const { origin, sockets } = await serve(sendBody);
  const client = openClient();
  for (let round = 0; round < 3; round += 1) await get(client, origin, '/3+50', { request: { reset: true } });
  expect(sockets).toHaveLength(3);
});

test('a connection that the store keeps for a moment only is not used again', async () => {
  const { origin, sockets } = await serve((socket) => socket.write(head(0, 'keep-alive: timeout=1\r\n')));
  const client = openClient();
  await get(client, origin, '/');
  await get(client, origin, '/');
  expect(sockets).toHaveLength(2);
});

test('an answer that stops is given up, one that is only held by its reader is not', async () => {
  const { origin } = await serve((socket, path) => {
    if (path === '/head') socket.write('HTTP/1.1 200 OK\r\n');
    else if (path === '/body') socket.write(`${head(10)}half`);
    else sendBody(socket, path);
  });
  const client = openClient({ timeouts: { ...DEFAULT_TIMEOUTS, firstByteMs: 300, stallMs: 300 } });
  const held = get(client, origin, `/0+${MIB}`, {
    onHead: (control) => {
      control.pause();
      // Longer than the time-outs of the two others.
      void Promise.allSettled(stopped).then(() => setTimeout(() => control.resume(), 300));
    },
  });
  const stopped = [get(client, origin, '/head'), get(client, origin, '/body')];
  await expect(stopped[0]).rejects.toMatchObject({ code: 'ERR_FIRST_BYTE_TIMEOUT' });
  await expect(stopped[1]).rejects.toMatchObject({ code: 'ERR_STALL_TIMEOUT' });
  expect((await held).body.equals(bodyOf(`/0+${MIB}`))).toBe(true);
});

test.each([
  ['a field', { headers: { 'if-match': '"a"\r\nx-other: b' } }],
  ['a path', { path: '/a b' }],
])('%s that would end its line is refused', async (_, request) => {
  const { origin, sockets } = await serve(sendBody);
  await expect(get(openClient(), origin, '/', { request })).rejects.toMatchObject({ code: 'ERR_HTTP_REQUEST' });
  expect(sockets).toHaveLength(0);
});

test('what is closed answers nobody any more', async () => {
  const { origin } = await serve(() => undefined);
  const client = openClient({ connectionsMax: 1 });
  const waiting = [get(client, origin, '/sent'), get(client, origin, '/waits')];
  const failures = Promise.allSettled(waiting);
  await client.destroy();
  for (const { status } of await failures) expect(status).toBe('rejected');
  await expect(get(client, origin, '/late')).rejects.toMatchObject({ code: 'ERR_CLIENT_CLOSED' });
});
