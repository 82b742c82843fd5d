// A Disk that passes everything on to another one, and fails the operations that a test scripts, the way a kernel does:
// a write that meets ENOSPC or EIO leaves half of its bytes behind, a failing close has closed. Also counts what passes.
import type { Disk, DiskFile, DiskSpace, DiskStat, OpenMode } from '../../src/lib/disk/disk.ts';
import { diskError } from './crash-disk.ts';

export const DISK_OPERATIONS = [
  'open',
  'create',
  'read',
  'write',
  'sync',
  'truncate',
  'fileStat',
  'close',
  'stat',
  'list',
  'makeDirectory',
  'removeDirectory',
  'rename',
  'link',
  'remove',
  'syncDirectory',
  'space',
] as const;

export type DiskOperation = (typeof DISK_OPERATIONS)[number];
export type FaultCode = 'ENOSPC' | 'EIO' | 'EMFILE' | 'EROFS' | 'EACCES';

export interface Fault {
  readonly code: FaultCode;
  /** Absent: any of them. */
  readonly operations?: readonly DiskOperation[] | undefined;
  readonly path?: RegExp | undefined;
  /** Matching operations that still succeed first. */
  readonly skip?: number | undefined;
  /** Matching operations that then fail; absent: all of them until `heal`. */
  readonly times?: number | undefined;
}

interface ActiveFault extends Fault {
  matched: number;
}

export class FaultDisk implements Disk {
  readonly #inner: Disk;
  readonly #counts = new Map<DiskOperation, number>();
  #faults: ActiveFault[] = [];
  #fired = 0;
  #readBytes = 0;
  #pause: { left: number; readonly reached: () => void; readonly resumed: Promise<void> } | undefined;

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  /** Operations that failed by a script: a test of faults proves with it that one fired. */
  get fired(): number {
    return this.#fired;
  }

  get readBytes(): number {
    return this.#readBytes;
  }

  /** How often each operation was asked for, failed ones included. */
  count(operation: DiskOperation): number {
    return this.#counts.get(operation) ?? 0;
  }

  fail(fault: Fault): void {
    this.#faults.push({ ...fault, matched: 0 });
  }

  /** Lets `skip` operations pass and holds the one after them, as a process that is stopped would, until `resume`. */
  pause(skip: number): { readonly reached: Promise<void>; readonly resume: () => void } {
    let reach: () => void = () => undefined;
    let resume: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const resumed = new Promise<void>((resolve) => (resume = resolve));
    this.#pause = { left: skip, reached: reach, resumed };
    return { reached, resume };
  }

  async #stopped(): Promise<void> {
    const pause = this.#pause;
    if (!pause) return;
    pause.left -= 1;
    if (pause.left >= 0) return;
    pause.reached();
    await pause.resumed;
  }

  heal(): void {
    this.#faults = [];
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.#run(mode === 'create' ? 'create' : 'open', path, async () => {
      return this.#file(await this.#inner.open(path, mode), path);
    });
  }

  stat(path: string): Promise<DiskStat> {
    return this.#run('stat', path, () => this.#inner.stat(path));
  }

  list(path: string): Promise<string[]> {
    return this.#run('list', path, () => this.#inner.list(path));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run('makeDirectory', path, () => this.#inner.makeDirectory(path));
  }

  removeDirectory(path: string): Promise<void> {
    return this.#run('removeDirectory', path, () => this.#inner.removeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run('rename', to, () => this.#inner.rename(from, to));
  }

  link(from: string, to: string): Promise<void> {
    return this.#run('link', to, () => this.#inner.link(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#run('remove', path, () => this.#inner.remove(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#run('syncDirectory', path, () => this.#inner.syncDirectory(path));
  }

  space(path: string): Promise<DiskSpace> {
    return this.#run('space', path, () => this.#inner.space(path));
  }

  #file(file: DiskFile, path: string): DiskFile {
    return {
      read: async (buffers, position) => {
        const bytes = await this.#run('read', path, () => file.read(buffers, position));
        this.#readBytes += bytes;
        return bytes;
      },
      write: async (buffers, position, options) => {
        await this.#stopped();
        const error = this.#faultOf('write', path);
        if (!error) return file.write(buffers, position, options);
        if (error.code === 'ENOSPC' || error.code === 'EIO') {
          const bytes = Buffer.concat(buffers);
          await file.write([bytes.subarray(0, Math.floor(bytes.length / 2))], position);
        }
        throw error;
      },
      sync: () => this.#run('sync', path, () => file.sync()),
      truncate: (sizeBytes) => this.#run('truncate', path, () => file.truncate(sizeBytes)),
      stat: () => this.#run('fileStat', path, () => file.stat()),
      close: async () => {
        const error = this.#faultOf('close', path);
        await file.close();
        if (error) throw error;
      },
    };
  }

  async #run<T>(operation: DiskOperation, path: string, run: () => Promise<T>): Promise<T> {
    await this.#stopped();
    const error = this.#faultOf(operation, path);
    if (error) throw error;
    return run();
  }

  #faultOf(operation: DiskOperation, path: string): NodeJS.ErrnoException | undefined {
    this.#counts.set(operation, this.count(operation) + 1);
    for (const fault of this.#faults) {
      if (fault.operations && !fault.operations.includes(operation)) continue;
      if (fault.path && !fault.path.test(path)) continue;
      const nth = fault.matched++;
      const skip = fault.skip ?? 0;
      if (nth < skip || nth >= skip + (fault.times ?? Infinity)) continue;
      this.#fired += 1;
      return diskError(fault.code, operation, path);
    }
    return undefined;
  }
}
