// The thread of a ChecksumPool: takes blocks of files, hashes them, says of each when it is done. Knows no files, only ids.
import { parentPort } from 'node:worker_threads';
import { loadCrc32c } from '../base/crc32c.ts';
import { FileChecksums, type Checksums } from './checksums.ts';

export type ChecksumRequest =
  | {
      readonly kind: 'update';
      readonly id: number;
      readonly pageSizeBytes: number;
      readonly block: SharedArrayBuffer;
      readonly length: number;
    }
  | { readonly kind: 'finish'; readonly id: number; readonly pageSizeBytes: number }
  | { readonly kind: 'drop'; readonly id: number };

export type ChecksumReply =
  | { readonly kind: 'block'; readonly id: number }
  | { readonly kind: 'checksums'; readonly id: number; readonly checksums: Checksums };

const port = parentPort!;
const files = new Map<number, FileChecksums>();

function fileOf(id: number, pageSizeBytes: number): FileChecksums {
  let file = files.get(id);
  if (!file) files.set(id, (file = new FileChecksums(pageSizeBytes)));
  return file;
}

await loadCrc32c();
port.on('message', (request: ChecksumRequest) => {
  if (request.kind === 'drop') {
    files.delete(request.id);
  } else if (request.kind === 'update') {
    fileOf(request.id, request.pageSizeBytes).update(new Uint8Array(request.block, 0, request.length));
    port.postMessage({ kind: 'block', id: request.id } satisfies ChecksumReply);
  } else {
    const checksums = fileOf(request.id, request.pageSizeBytes).finish();
    files.delete(request.id);
    port.postMessage({ kind: 'checksums', id: request.id, checksums } satisfies ChecksumReply);
  }
});
