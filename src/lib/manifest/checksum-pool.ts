// Hashes files off the event loop: a few worker threads that read open files themselves, or take blocks of memory shared
// by both sides (handed over, they counted as new memory each time, and the collectors of both ran again and again: half
// of the time of a put). Small files are hashed in place, where a message would cost more than the hash. Run from
// TypeScript sources (tests), where no worker can be started, everything is hashed in place.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { loadCrc32c } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import type { DescriptorBytes } from '../objectstore/object-store.ts';
import type { ChecksumReply, ChecksumRequest } from './checksum-worker.ts';
import { FileChecksums, type Checksums } from './checksums.ts';

/** Hashing that much takes about half a millisecond. */
const INLINE_BYTES_MAX = MIB;
const WORKERS_MAX = 4;

/** The hashing of one file: blocks in order, then `finish`, or `drop`. */
export interface FileHashing {
  /**
   * Hashes the first `length` bytes of the block, which belongs to the pool until the promise resolves.
   */
  update(block: SharedArrayBuffer, length: number): Promise<void>;
  /** Where hashing is in place: takes bytes as they come, which saves a copy. */
  readonly direct?: ((bytes: Uint8Array) => void) | undefined;
  /**
   * Where a thread hashes: it reads the bytes itself, which saves every copy. Resolves with how many there were, fewer
   * only at the end of the file, which stays open so long. Rejects with the system's error.
   */
  readonly take?: ((bytes: DescriptorBytes) => Promise<number>) | undefined;
  finish(): Promise<Checksums>;
  drop(): void;
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

interface Pending {
  /** For the blocks and reads that were sent, in order. */
  readonly parts: Waiting<number>[];
  finish: Waiting<Checksums> | undefined;
}

class Thread {
  readonly #worker: Worker;
  readonly #files = new Map<number, Pending>();
  #failure: Error | undefined;

  constructor(url: URL) {
    this.#worker = new Worker(url);
    // A thread that waits for work keeps no process alive.
    this.#worker.unref();
    this.#worker.on('message', (reply: ChecksumReply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new SeekfsError('unexpected', 'a hashing thread ended')));
  }

  get load(): number {
    return this.#files.size;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { parts, finish } of this.#files.values()) {
      for (const part of parts) part.reject(this.#failure);
      finish?.reject(this.#failure);
    }
    this.#files.clear();
  }

  #receive(reply: ChecksumReply): void {
    const pending = this.#files.get(reply.id);
    if (reply.kind === 'bytes') {
      pending?.parts.shift()?.resolve(reply.bytes);
    } else if (reply.kind === 'failed') {
      pending?.parts.shift()?.reject(Object.assign(new Error(reply.message), { code: reply.code }));
    } else {
      this.#files.delete(reply.id);
      pending?.finish?.resolve(reply.checksums);
    }
    if (this.#files.size === 0) this.#worker.unref();
  }

  #send<T>(request: ChecksumRequest, wait: (pending: Pending, waiting: Waiting<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      wait(this.#files.get(request.id)!, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request, []);
    });
  }

  hash(id: number, pageSizeBytes: number): FileHashing {
    this.#files.set(id, { parts: [], finish: undefined });
    const sendPart = (request: ChecksumRequest): Promise<number> =>
      this.#send<number>(request, (pending, part) => pending.parts.push(part));
    return {
      update: async (block, length) => {
        await sendPart({ kind: 'update', id, pageSizeBytes, block, length });
      },
      take: (bytes) => sendPart({ kind: 'take', id, pageSizeBytes, ...bytes }),
      finish: () =>
        this.#send<Checksums>({ kind: 'finish', id, pageSizeBytes }, (pending, finish) => {
          pending.finish = finish;
        }),
      drop: () => {
        this.#files.delete(id);
        this.#worker.postMessage({ kind: 'drop', id } satisfies ChecksumRequest, []);
      },
    };
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

function hashInPlace(pageSizeBytes: number): FileHashing {
  const file = new FileChecksums(pageSizeBytes);
  return {
    update: (block, length) => {
      file.update(new Uint8Array(block, 0, length));
      return Promise.resolve();
    },
    direct: (bytes) => file.update(bytes),
    finish: () => Promise.resolve(file.finish()),
    drop: () => undefined,
  };
}

export class ChecksumPool {
  readonly #threads: Thread[] = [];
  readonly #threadsMax: number;
  readonly #url: URL | undefined;
  #nextId = 0;

  private constructor(threadsMax: number) {
    this.#threadsMax = threadsMax;
    const isCompiled = import.meta.url.endsWith('.js');
    this.#url = isCompiled && threadsMax > 0 ? new URL('./checksum-worker.js', import.meta.url) : undefined;
  }

  static async open(options: { threadsMax?: number } = {}): Promise<ChecksumPool> {
    await loadCrc32c();
    return new ChecksumPool(options.threadsMax ?? Math.min(WORKERS_MAX, availableParallelism()));
  }

  /** `sizeBytes`: what the file is believed to have, to choose the place. */
  hash(file: { readonly sizeBytes: number; readonly pageSizeBytes: number }): FileHashing {
    if (!this.#url || file.sizeBytes <= INLINE_BYTES_MAX) return hashInPlace(file.pageSizeBytes);
    let thread = this.#threads.reduce<Thread | undefined>((a, b) => (a && a.load <= b.load ? a : b), undefined);
    if (!thread || (thread.load > 0 && this.#threads.length < this.#threadsMax)) {
      thread = new Thread(this.#url);
      this.#threads.push(thread);
    }
    return thread.hash(this.#nextId++, file.pageSizeBytes);
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
