// A namespace of any number of tiny files, all inside one object: written by hand in the format of docs/format, so that
// a workload can begin with a parent version of a million files without uploading them.
import { crc32c } from '@node-rs/crc32';
import { createHash } from 'node:crypto';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

export const FILE_BYTES = 64;
const FILES_PER_FOLDER = 1000;

/** In the order of paths. @param {number} index */
export function pathOf(index) {
  return `d${String(Math.floor(index / FILES_PER_FOLDER)).padStart(4, '0')}/${String(index).padStart(7, '0')}.txt`;
}

function contentOf(index) {
  return Buffer.from(`the content of file ${index}`.padEnd(FILE_BYTES, '.'));
}

function* entriesOf(count, key) {
  for (let index = 0; index < count; index += 1) {
    const bytes = contentOf(index);
    const entry = {
      path: pathOf(index),
      size: FILE_BYTES,
      hash: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      page_table: [{ page_id: 0, off: 0, len: FILE_BYTES, crc32c: crc32c(bytes) }],
      storage: { key, etag: null, sse: null, off: index * FILE_BYTES },
    };
    yield `${index === 0 ? '' : ','}${JSON.stringify(entry)}`;
  }
}

/** Joined to larger strings: a stream of a million small ones spends its time on itself. */
function* inBatches(parts) {
  let batch = '';
  for (const part of parts) {
    batch += part;
    if (batch.length < 2 ** 18) continue;
    yield batch;
    batch = '';
  }
  yield batch;
}

function* documentOf(count, key) {
  yield '{"version":1,"parents":[],"tombstones":[],"created_at":1700000000,"files":[';
  yield* entriesOf(count, key);
  yield ']}';
}

function* contents(count) {
  for (let index = 0; index < count; index += 1) yield contentOf(index).toString('latin1');
}

/**
 * Version 1 of namespace `dev` with so many files, without a published index, in a directory store.
 * @param {string} store @param {number} count
 */
export async function writeNamespace(store, count) {
  const root = join(store, 'namespaces/dev');
  const key = 'namespaces/dev/files/all.bin';
  for (const folder of ['files', 'manifests']) mkdirSync(join(root, folder), { recursive: true });
  await pipeline(Readable.from(inBatches(contents(count))), createWriteStream(join(store, key)));
  await pipeline(
    Readable.from(inBatches(documentOf(count, key))),
    createGzip({ level: 1 }),
    createWriteStream(join(root, 'manifests/v-1.json.gz')),
  );
  writeFileSync(join(root, 'HEAD'), 'v-1\n');
}
