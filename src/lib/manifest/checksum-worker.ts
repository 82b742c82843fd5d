// The thread of a ChecksumPool: hashes blocks that it is sent, or what it reads from a descriptor itself, and says of each
// when it is done. Knows no paths and no stores, only ids; opens and closes nothing.
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { loadCrc32c } from '../base/crc32c.ts';
import { systemErrorCode } from '../base/errors.ts';
import { KIB, MIB } from '../base/units.ts';
import type { DescriptorBytes } from '../objectstore/object-store.ts';
import { FileChecksums, type Checksums } from './checksums.ts';

export type ChecksumRequest =
  | {
      readonly kind: 'update';
      readonly id: number;
      readonly pageSizeBytes: number;
      readonly block: SharedArrayBuffer;
      readonly length: number;
    }
  | ({ readonly kind: 'take'; readonly id: number; readonly pageSizeBytes: number } & DescriptorBytes)
  | { readonly kind: 'finish'; readonly id: number; readonly pageSizeBytes: number }
  | { readonly kind: 'drop'; readonly id: number };

export type ChecksumReply =
  | { readonly kind: 'bytes'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'failed'; readonly id: number; readonly code: string | undefined; readonly message: string }
  | { readonly kind: 'checksums'; readonly id: number; readonly checksums: Checksums };

/** Of one read: a cold disk with some latency wants large ones. */
const READ_BYTES = MIB;
/** Fits the caches of a core: bytes are still there when the second checksum reads them. */
const HASH_BYTES = 256 * KIB;

const port = parentPort!;
const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
const files = new Map<number, FileChecksums>();

function fileOf(id: number, pageSizeBytes: number): FileChecksums {
  let file = files.get(id);
  if (!file) files.set(id, (file = new FileChecksums(pageSizeBytes)));
  return file;
}

/** Hashes bytes as the file gives them; fewer than asked for at its end. */
function hashFrom(file: FileChecksums, { fd, off, len }: DescriptorBytes): number {
  let done = 0;
  while (done < len) {
    const bytesRead = readSync(fd, buffer, 0, Math.min(buffer.length, len - done), off + done);
    if (bytesRead === 0) break;
    for (let at = 0; at < bytesRead; at += HASH_BYTES) {
      file.update(buffer.subarray(at, Math.min(bytesRead, at + HASH_BYTES)));
    }
    done += bytesRead;
  }
  return done;
}

function answer(request: ChecksumRequest): ChecksumReply | undefined {
  const { id } = request;
  if (request.kind === 'drop') {
    files.delete(id);
    return undefined;
  }
  const file = fileOf(id, request.pageSizeBytes);
  if (request.kind === 'update') {
    file.update(new Uint8Array(request.block, 0, request.length));
    return { kind: 'bytes', id, bytes: request.length };
  }
  if (request.kind === 'take') return { kind: 'bytes', id, bytes: hashFrom(file, request) };
  files.delete(id);
  return { kind: 'checksums', id, checksums: file.finish() };
}

await loadCrc32c();
port.on('message', (request: ChecksumRequest) => {
  try {
    const reply = answer(request);
    if (reply) port.postMessage(reply);
  } catch (error) {
    // A message keeps no `code` of an Error. A read that failed is its file's error, not the thread's.
    if (request.kind !== 'take' || !(error instanceof Error)) throw error;
    const { message } = error;
    port.postMessage({ kind: 'failed', id: request.id, code: systemErrorCode(error), message } satisfies ChecksumReply);
  }
});
