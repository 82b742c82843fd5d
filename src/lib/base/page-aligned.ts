// Memory that begins at a page, as O_DIRECT wants it, and how to tell it from other memory. For slabs and for what is
// written between them; knows nothing of files.
import { KIB } from './units.ts';

/** The largest page of memory, and block of a disk, that is common. */
export const ALIGNMENT_BYTES = 4 * KIB;
const WEBASSEMBLY_PAGE_BYTES = 64 * KIB;

/** Node's types have no values of it. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => {
    readonly buffer: SharedArrayBuffer;
  };
};

const aligned = new WeakSet<ArrayBufferLike>();

/**
 * At least so many bytes, zeros, not resident before they are used. They lie in a shared WebAssembly memory: the only
 * one in JavaScript that begins at a page. Threads can share it, and V8 runs no collections for its sake. Where
 * there is none (addresses are short by ulimit -v, or V8 runs with --jitless) it is ordinary memory.
 */
export function pageAlignedMemory(bytes: number): Buffer {
  const pages = Math.ceil(bytes / WEBASSEMBLY_PAGE_BYTES);
  try {
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    aligned.add(buffer);
    return Buffer.from(buffer);
  } catch {
    return Buffer.alloc(bytes);
  }
}

export function isPageAligned(bytes: Uint8Array): boolean {
  return bytes.byteOffset % ALIGNMENT_BYTES === 0 && aligned.has(bytes.buffer);
}

/** As `source.copy(target, at)`, which V8 does word by word where the memory is shared: at a quarter of the speed. */
export function copyShared(target: Buffer, at: number, source: Uint8Array): number {
  target.fill(source, at, at + source.length);
  return source.length;
}
