// GET /manifest and GET /ls: what a version holds, as JSON that is written as it is listed, so that a manifest of a
// million files costs no more memory than one of ten.
import { KIB } from '../base/units.ts';
import type { PinnedVersion } from '../manifest/types.ts';
import { encodeManifest, encodeManifestJson } from '../manifest/codec.ts';
import type { Exchange } from './exchange.ts';
import { badParameter, type Query } from './query.ts';

const BATCH_CHARACTERS = 64 * KIB;

/** `{…head, [field]: [items]}` with the items as they come, then `tail` fields. */
async function sendList(
  exchange: Exchange,
  version: PinnedVersion,
  parts: {
    head: Record<string, unknown>;
    field: string;
    items: AsyncIterable<unknown>;
    tail?: () => Record<string, unknown>;
  },
): Promise<void> {
  exchange.head(200, ['Content-Type', 'application/json', 'X-Seekfs-Version', String(version.version)]);
  if (exchange.isHead) {
    exchange.response.end();
    return;
  }
  let batch = `${JSON.stringify(parts.head).slice(0, -1)},${JSON.stringify(parts.field)}:[`;
  let separator = '\n';
  for await (const item of parts.items) {
    batch += separator + JSON.stringify(item);
    separator = ',\n';
    if (batch.length < BATCH_CHARACTERS) continue;
    await exchange.sendText(batch);
    batch = '';
  }
  const tail = parts.tail ? `,${JSON.stringify(parts.tail()).slice(1, -1)}` : '';
  batch += `\n]${tail}}\n`;
  exchange.sentBytes += Buffer.byteLength(batch);
  exchange.response.end(batch);
}

/**
 * The manifest as its object has it, but for its digest, which is a header field: packing it again changes bytes. With
 * `path` or `limit` of its files only that one or so many; what is about the whole is there all the same.
 * @throws usage, path_not_found
 */
export async function answerManifest(exchange: Exchange, query: Query, version: PinnedVersion): Promise<void> {
  const path = query.optional('path');
  const limit = query.count('limit') ?? Infinity;
  const files = path === undefined ? firstOf(version.list(), limit) : [await version.lookup(path)];
  const isPacked = /\bgzip\b/.test(exchange.request.headers['accept-encoding'] ?? '');
  const headers = ['Content-Type', 'application/json', 'X-Seekfs-Version', String(version.version)];
  headers.push('X-Seekfs-Files', String(version.fileCount), 'X-Seekfs-Bytes', String(version.totalBytes));
  headers.push('X-Seekfs-Digest', version.digest, 'Vary', 'Accept-Encoding');
  if (isPacked) headers.push('Content-Encoding', 'gzip');
  exchange.head(200, headers);
  if (!exchange.isHead) {
    const encode = isPacked ? encodeManifest : encodeManifestJson;
    for await (const chunk of encode(version.header, files)) await exchange.sendText(chunk);
  }
  exchange.response.end();
}

async function* firstOf<T>(items: AsyncIterable<T>, count: number): AsyncIterable<T> {
  let rest = count;
  if (rest === 0) return;
  for await (const item of items) {
    yield item;
    rest -= 1;
    if (rest === 0) return;
  }
}

/** @throws usage */
export async function answerLs(exchange: Exchange, query: Query, version: PinnedVersion): Promise<void> {
  const prefix = query.optionalOrEmpty('prefix') ?? '';
  const startAfter = query.optional('start_after');
  const limit = query.count('limit') ?? Infinity;
  if (limit === 0) throw badParameter('limit', 'is 0');
  let next: string | null = null;
  async function* entries(): AsyncIterable<unknown> {
    let count = 0;
    let last = '';
    for await (const { path, sizeBytes, hash, modifiedAtMs } of version.list({ prefix, startAfter })) {
      if (count === limit) {
        next = last;
        return;
      }
      count += 1;
      last = path;
      yield { path, size: sizeBytes, hash, modified_at_ms: modifiedAtMs };
    }
  }
  await sendList(exchange, version, {
    head: { ns: version.ns, version: version.version, digest: version.digest },
    field: 'files',
    items: entries(),
    tail: () => ({ next_start_after: next }),
  });
}
