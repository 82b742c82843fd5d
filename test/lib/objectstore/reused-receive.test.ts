// Connections that share one buffer, against servers that write exactly what a test says, when it says so.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { afterEach, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { reusingConnector } from '../../../src/lib/objectstore/reused-receive.ts';
import { patternBytes } from '../../support/store-bytes.ts';

const require = createRequire(import.meta.url);
const AgentClass = require('undici/lib/dispatcher/agent.js') as typeof Agent;
const build = require('undici/lib/core/connect.js') as typeof buildConnector;

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

function open(options: Agent.Options = {}): Agent {
  const agent = new AgentClass({ connections: 8, connect: reusingConnector(build, { timeout: 5000 }), ...options });
  CLOSE.push(() => agent.destroy());
  return agent;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

interface Watching {
  readonly onHead?: (controller: Dispatcher.DispatchController) => void;
  /** Sees each chunk when it has been copied. */
  readonly onChunk?: (controller: Dispatcher.DispatchController, chunk: Buffer) => void;
}

/** Copies what it is given, as a sink must. */
function get(agent: Agent, origin: string, path: string, watching: Watching = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let [status, headers]: [number, Answer['headers']] = [0, {}];
    const chunks: Buffer[] = [];
    agent.dispatch(
      { origin, path, method: 'GET' },
      {
        onRequestStart: () => undefined,
        onResponseStart: (controller, seen, fields) => {
          if (seen < 200) return;
          [status, headers] = [seen, fields];
          watching.onHead?.(controller);
        },
        onResponseData: (controller, chunk) => {
          // Says that the parser was resumed, nothing else.
          if (chunk.length === 0) return;
          chunks.push(Buffer.from(chunk));
          watching.onChunk?.(controller, chunk);
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
    onChunk: (controller) => {
      controller.pause();
      void turns(count).then(() => controller.resume());
    },
  };
}

test('reads that are held back in the middle of what has arrived, beside others that are not, give the right bytes', async () => {
  const { origin } = await serve(sendBody);
  const agent = open();
  const paths = [0, 1, 2, 3, 4, 5].map((index) => `/${index * 1000}+${3 * MIB + index}`);
  const answers = await Promise.all(
    paths.map((path, index) => get(agent, origin, path, index === 0 ? {} : slow(index))),
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
  const agent = open();
  let held = 0;
  const answer = await get(agent, origin, '/chunked', {
    onChunk: (controller, chunk) => {
      held = Math.max(held, parts.length * 5000 - chunk.length);
      controller.pause();
      void get(agent, origin, `/7+${MIB}`).then(
        () => controller.resume(),
        () => controller.abort(new Error('other')),
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
  const agent = open();
  const answer = get(agent, origin, '/pieces');
  while (stopped.length === 0) await turns(1);
  await get(agent, origin, `/0+${2 * MIB}`);
  stopped[0]!.write('fore\r\nx-last: four\r\ncontent-length: 3\r\n\r\nabc');
  const { headers, body } = await answer;
  expect(headers).toMatchObject({ 'x-first': 'one', 'x-long': long, 'x-cut': 'before', 'x-last': 'four' });
  expect(body.toString()).toBe('abc');
});

test('an interim answer and the final one in one piece are both understood', async () => {
  const { origin } = await serve((socket) => {
    socket.write(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${head(5)}hello`);
  });
  const { status, body } = await get(open(), origin, '/');
  expect([status, body.toString()]).toEqual([200, 'hello']);
});

test('what is received for a held reader is bounded', async () => {
  const length = 8 * MIB;
  const { origin } = await serve(sendBody);
  const received: Socket[] = [];
  const watched: buildConnector.connector = (to, callback) => {
    reusingConnector(build, { timeout: 5000 })(to, (...[error, socket]) => {
      if (error) callback(error, null);
      else {
        received.push(socket);
        callback(null, socket);
      }
    });
  };
  const agent = open({ connect: watched });
  let heldBytes: number | undefined;
  const { body } = await get(agent, origin, `/0+${length}`, {
    onChunk: (controller) => {
      if (received.length > 1) return;
      controller.pause();
      void (async () => {
        await get(agent, origin, `/0+${length}`);
        heldBytes = received[0]!.bytesRead;
        controller.resume();
      })();
    },
  });
  expect(body.equals(bodyOf(`/0+${length}`))).toBe(true);
  // Of the read that was held, and one more.
  expect(heldBytes).toBeLessThanOrEqual(2 * 256 * KIB);
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
  const agent = open({ connections: 1 });
  const ask = async (path: string): Promise<string> => (await get(agent, origin, path)).body.toString('latin1');
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
  await expect(get(open(), origin, '/')).rejects.toBeInstanceOf(Error);
});

test.each(['end', 'resetAndDestroy'] as const)('so it is where the reader was held meanwhile (%s)', async (how) => {
  const { origin } = await serve((socket) => {
    socket.write(head(MIB));
    socket.write(patternBytes({ off: 0, len: MIB / 2 }), () => void socket[how]());
  });
  await expect(get(open(), origin, '/', slow(20))).rejects.toBeInstanceOf(Error);
});

test('an answer without a length ends with its connection', async () => {
  const body = patternBytes({ off: 0, len: MIB });
  const { origin } = await serve((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    socket.end(body);
  });
  expect((await get(open(), origin, '/', slow(1))).body.equals(body)).toBe(true);
});

test('an aborted request leaves the others alone', async () => {
  const { origin } = await serve(sendBody);
  const agent = open();
  const aborted = get(agent, origin, `/0+${4 * MIB}`, {
    onChunk: (controller) => controller.abort(new Error('enough')),
  });
  const other = get(agent, origin, `/9+${4 * MIB}`, slow(1));
  await expect(aborted).rejects.toThrow('enough');
  expect((await other).body.equals(bodyOf(`/9+${4 * MIB}`))).toBe(true);
});

test('a socket that is resumed before its rest was read keeps all that it receives', async () => {
  const { origin, sockets } = await serve(() => undefined);
  const to = new URL(origin);
  const options = { hostname: to.hostname, host: to.host, protocol: to.protocol, port: to.port };
  const socket = await new Promise<Socket>((resolve, reject) => {
    const connect = reusingConnector(build, { timeout: 5000 });
    connect(options, (error, connected) => (error ? reject(error) : resolve(connected)));
  });
  CLOSE.push(async () => void socket.destroy());
  // As the parser, which listens all the time.
  socket.on('readable', () => undefined);
  const readable = (): Promise<unknown> => once(socket, 'readable');
  while (sockets.length === 0) await turns(1);
  const body = patternBytes({ off: 0, len: 60 });
  for (let at = 0; at < body.length; at += 20) {
    const seen = readable();
    sockets[0]!.write(body.subarray(at, at + 20));
    // Told of it, and reads nothing.
    await seen;
    socket.resume();
  }
  expect((socket.read() as Buffer).equals(body)).toBe(true);
  expect(socket.read()).toBe(null);
});

test('a refused connection is the error that it is', async () => {
  const { origin } = await serve(sendBody);
  const { port } = new URL(origin);
  await CLOSE.pop()!();
  await expect(get(open(), `http://127.0.0.1:${port}`, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
