// The node disk with appends that take long: large writes go in pieces, one system call each, as a kernel is free to do.
// A process that is killed at a random moment is then mostly killed in an append.
import type { Disk } from '../../src/lib/disk/disk.ts';

export function piecewiseDisk(inner: Disk, options: { pieceBytes: number; onAppend: () => void }): Disk {
  const { pieceBytes, onAppend } = options;
  return {
    ...inner,
    open: async (path, mode) => {
      const file = await inner.open(path, mode);
      return {
        read: (buffers, position) => file.read(buffers, position),
        sync: () => file.sync(),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        stat: () => file.stat(),
        close: () => file.close(),
        write: async (buffers, position) => {
          const bytes = Buffer.concat(buffers);
          if (bytes.length > pieceBytes) onAppend();
          for (let at = 0; at < bytes.length; at += pieceBytes) {
            await file.write([bytes.subarray(at, at + pieceBytes)], position + at);
          }
        },
      };
    },
  };
}
