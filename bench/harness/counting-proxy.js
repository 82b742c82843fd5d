// A proxy in front of the S3 server that counts requests by method and bytes of bodies, and can delay each answer: the
// same eyes and the same distance for seekfs and its peers. It passes the Host header on, so signatures stay valid.
import { createServer, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** @param {string} endpoint @param {{ delayMs?: number }} [options] */
export async function startCountingProxy(endpoint, { delayMs = 0 } = {}) {
  const target = new URL(endpoint);
  const counts = { GET: 0, HEAD: 0, PUT: 0, POST: 0, DELETE: 0, bodyBytes: 0 };
  const server = createServer((incoming, outgoing) => {
    counts[incoming.method] = (counts[incoming.method] ?? 0) + 1;
    const { method, url: path, headers } = incoming;
    const forward = request({ host: target.hostname, port: target.port, method, path, headers });
    const passOn = async (response) => {
      await sleep(delayMs);
      outgoing.writeHead(response.statusCode, response.rawHeaders);
      response.on('data', (chunk) => (counts.bodyBytes += chunk.length));
      response.pipe(outgoing);
    };
    forward.on('response', (response) => void passOn(response));
    forward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forward.destroy());
    incoming.pipe(forward);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    /** What was counted since the last call. */
    take: () => {
      const taken = { ...counts };
      for (const name of Object.keys(counts)) counts[name] = 0;
      return taken;
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
