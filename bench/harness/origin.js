// The origin for cold reads at a distance that can be set: a directory of objects served from memory as S3 serves ranged
// GETs, with a latency before the first byte, a bandwidth over all connections, and a share of answers that are 503.
// Reads only; signatures are not looked at. `publishTo` makes the namespace that it serves.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { seededRandom } from './data.js';
import { Seekfs } from './seekfs.js';

const PIECE_BYTES = 2 ** 18;

/** @param {string} key */
function etagOf(key) {
  return `"${createHash('md5').update(key).digest('hex')}"`;
}

/**
 * Publishes files as namespace `dev` of the bucket directory `root/bucket`.
 * @param {string} root @param {readonly string[]} files
 */
export async function publishTo(root, files) {
  const bucket = join(root, 'bucket');
  const folder = join(bucket, 'namespaces/dev/files');
  mkdirSync(folder, { recursive: true });
  for (const file of files) copyFileSync(file, join(folder, basename(file)));
  await new Seekfs(join(root, 'publisher'), { store: bucket }).run('manifest gen dev');
  // The ETags of a directory are not those that a server gives; the digest in HEAD is of the manifest before that.
  const manifestPath = join(bucket, 'namespaces/dev/manifests/v-1.json.gz');
  const manifest = JSON.parse(gunzipSync(readFileSync(manifestPath)).toString());
  for (const { storage } of manifest.files) storage.etag = etagOf(storage.key);
  writeFileSync(manifestPath, gzipSync(JSON.stringify(manifest)));
  writeFileSync(join(bucket, 'namespaces/dev/HEAD'), 'v-1\n');
}

function rangeOf(header, size) {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [undefined, '0', ''];
  return { begin: Number(from), end: to === '' ? size : Math.min(size, Number(to) + 1) };
}

/**
 * @param {string} root of `publishTo`
 * @param {{ latencyMs?: number, bytesPerSecond?: number, faultShare?: number, seed?: number }} [conditions]
 * @returns {Promise<import('./peers.js').S3Origin & { take: () => { gets: number, faults: number, bodyBytes: number }, stop: () => Promise<void> }>}
 */
export async function startOrigin(root, conditions = {}) {
  const { latencyMs = 0, bytesPerSecond = Infinity, faultShare = 0, seed = 1 } = conditions;
  const random = seededRandom(seed);
  const objects = new Map();
  const counts = { gets: 0, faults: 0, bodyBytes: 0 };
  /** When the line is free again: all bodies share it. */
  let freeAtMs = 0;

  /** Kept by the path as it was asked for: what this takes of the processor, the clients beside it lack. */
  function objectOf(url) {
    const path = url.split('?', 1)[0];
    const known = objects.get(path);
    if (known) return known;
    const key = decodeURIComponent(new URL(path, 'http://origin').pathname).slice('/bucket/'.length);
    const file = join(root, 'bucket', key);
    if (!existsSync(file)) return undefined;
    const object = { bytes: readFileSync(file), etag: etagOf(key) };
    objects.set(path, object);
    return object;
  }

  async function* paced(body) {
    for (let at = 0; at < body.length; at += PIECE_BYTES) {
      const piece = body.subarray(at, at + PIECE_BYTES);
      freeAtMs = Math.max(freeAtMs, performance.now()) + (piece.length / bytesPerSecond) * 1000;
      const waitMs = freeAtMs - performance.now();
      if (waitMs > 1) await sleep(waitMs);
      counts.bodyBytes += piece.length;
      yield piece;
    }
  }

  async function answer(request, response) {
    if (latencyMs > 0) await sleep(latencyMs);
    const object = objectOf(request.url);
    if (!object) return response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
    const { bytes, etag } = object;
    const headers = { etag, 'accept-ranges': 'bytes' };
    const size = bytes.length;
    if (request.method === 'HEAD') return response.writeHead(200, { ...headers, 'content-length': size }).end();
    counts.gets += 1;
    if (random() < faultShare) {
      counts.faults += 1;
      return response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>');
    }
    const { range, 'if-match': ifMatch } = request.headers;
    if (ifMatch !== undefined && ifMatch !== etag) return response.writeHead(412).end();
    const { begin, end } = rangeOf(range, size);
    const status = range === undefined ? 200 : 206;
    if (range !== undefined) headers['content-range'] = `bytes ${begin}-${end - 1}/${size}`;
    response.writeHead(status, { ...headers, 'content-length': end - begin });
    const body = bytes.subarray(begin, end);
    if (bytesPerSecond < Infinity) return pipeline(Readable.from(paced(body)), response);
    // In whole, also where the client breaks it off.
    counts.bodyBytes += body.length;
    return response.end(body);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${server.address().port}`;
  return {
    endpoint,
    bucket: 'bucket',
    accessKey: 'key',
    secretKey: 'secret',
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
