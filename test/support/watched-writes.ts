// A Disk that lets a test come between a write and the file: to note it, or to make time pass with it.
import type { Disk, DiskFile, OpenMode } from '../../src/lib/disk/disk.ts';

type Write = Parameters<DiskFile['write']>;

/** `write` does what was asked for. */
export function watchedWrites(
  inner: Disk,
  watch: (write: () => Promise<void>, of: Write, mode: OpenMode) => Promise<void>,
): Disk {
  return {
    ...inner,
    open: async (path, mode) => {
      const file = await inner.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, { write: (...of: Write) => watch(() => write(...of), of, mode) });
    },
  };
}
