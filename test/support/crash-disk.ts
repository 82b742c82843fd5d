// A Disk in memory that can lose power: it keeps what is durable (synced bytes, names of synced directories) apart from
// what is not, dies after the n-th changing operation, and `reopen` gives a disk that a machine might find afterwards.
// Stricter than POSIX file systems in use: unsynced sectors and names survive in any combination.
import { dirname } from 'node:path/posix';
import { seededRandom } from '../../src/lib/base/random.ts';
import type { Disk, DiskFile, DiskSpace, DiskStat, OpenMode } from '../../src/lib/disk/disk.ts';
import {
  remainsOf,
  resized,
  type CrashKind,
  type DirectoryNode,
  type FileNode,
  type NameChange,
  type Node,
  type TornWrite,
} from './crash-remains.ts';

const NAME_BYTES_MAX = 255;

export function diskError(code: string, operation: string, path = ''): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${operation} ${path}`), { code, syscall: operation });
}

export interface CrashDiskOptions {
  readonly totalBytes?: number | undefined;
}

export class CrashDisk implements Disk {
  readonly totalBytes: number;
  #root: DirectoryNode;
  #nextInode = 2n;
  #clockNs = BigInt(Date.now()) * 1_000_000n;
  #nameChanges: NameChange[] = [];
  #operations = 0;
  #diesAfter = Infinity;
  #dead = false;
  #openFiles = 0;
  /** The write in flight when the disk died: a prefix of it may have reached the file. */
  #torn: TornWrite | undefined;

  constructor(options: CrashDiskOptions = {}) {
    this.totalBytes = options.totalBytes ?? 2 ** 40;
    this.#root = this.#newDirectory();
  }

  /** Changing operations so far. */
  get operations(): number {
    return this.#operations;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Was it a write that the disk died in? */
  get diedInWrite(): boolean {
    return this.#torn !== undefined;
  }

  get openFiles(): number {
    return this.#openFiles;
  }

  get usedBytes(): number {
    let sum = 0;
    for (const node of this.#reachable()) if (node.kind === 'file') sum += node.sizeBytes;
    return sum;
  }

  /** The disk does `count` more changing operations, and dies in the one after them. */
  dieAfter(count: number): void {
    this.#diesAfter = this.#operations + count;
  }

  /** Dies between two operations. */
  die(): void {
    this.#dead = true;
  }

  /** Makes everything durable, as after `sync(1)`. */
  settle(): void {
    for (const node of this.#reachable()) {
      if (node.kind === 'directory') node.durable = new Map(node.names);
      else {
        node.durable = Buffer.from(node.content.subarray(0, node.sizeBytes));
        node.changes = [];
      }
    }
    this.#nameChanges = [];
  }

  /**
   * A new, living disk with what a crash of this one leaves behind; everything on it is durable. This one is dead from
   * then on. The same seed gives the same remains.
   */
  reopen(seed: number, kind: CrashKind = 'power'): CrashDisk {
    this.#dead = true;
    const random = seededRandom(seed);
    const remains = new CrashDisk({ totalBytes: this.totalBytes });
    remains.#nextInode = this.#nextInode;
    remains.#clockNs = this.#clockNs + 1_000_000_000n;
    const found = { root: this.#root, nameChanges: this.#nameChanges, torn: this.#torn };
    remains.#root = remainsOf(found, kind, random);
    remains.settle();
    return remains;
  }

  /** A copy of this disk as it is, everything durable. */
  clone(): CrashDisk {
    const dead = this.#dead;
    const copy = this.reopen(0, 'kill');
    this.#dead = dead;
    return copy;
  }

  // --- Disk

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#begin(mode === 'create');
    const { directory, name } = this.#parentOf(path, 'open');
    let node = directory.names.get(name);
    if (mode === 'create') {
      if (node) throw diskError('EEXIST', 'open', path);
      if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw diskError('ENAMETOOLONG', 'open', path);
      node = {
        kind: 'file',
        inode: this.#nextInode++,
        content: Buffer.alloc(0),
        sizeBytes: 0,
        durable: Buffer.alloc(0),
        changes: [],
        links: 1,
        changedAt: this.#tick(),
      };
      this.#setNames([{ directory, name, node }]);
    }
    if (!node) throw diskError('ENOENT', 'open', path);
    if (node.kind === 'directory') throw diskError('EISDIR', 'open', path);
    return this.#openFile(node, mode);
  }

  async stat(path: string): Promise<DiskStat> {
    await this.#begin(false);
    return statOf(this.#nodeAt(path, 'stat'));
  }

  async list(path: string): Promise<string[]> {
    await this.#begin(false);
    return [...this.#directoryAt(path, 'list').names.keys()].sort();
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#begin(true);
    let directory = this.#root;
    for (const name of partsOf(path)) {
      let node = directory.names.get(name);
      if (!node) this.#setNames([{ directory, name, node: (node = this.#newDirectory()) }]);
      // As mkdir(2): the last part says EEXIST, one on the way ENOTDIR.
      if (node.kind === 'file') throw diskError(name === partsOf(path).at(-1) ? 'EEXIST' : 'ENOTDIR', 'mkdir', path);
      directory = node;
    }
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#begin(true);
    const { directory, name } = this.#parentOf(path, 'rmdir');
    if (this.#directoryAt(path, 'rmdir').names.size > 0) throw diskError('ENOTEMPTY', 'rmdir', path);
    this.#setNames([{ directory, name, node: undefined }]);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin(true);
    const source = this.#parentOf(from, 'rename');
    const target = this.#parentOf(to, 'rename');
    const node = this.#nodeAt(from, 'rename');
    const replaced = target.directory.names.get(target.name);
    if (replaced === node) return;
    if (replaced?.kind === 'directory' && node.kind === 'file') throw diskError('EISDIR', 'rename', to);
    if (replaced?.kind === 'file' && node.kind === 'directory') throw diskError('ENOTDIR', 'rename', to);
    if (replaced?.kind === 'directory' && replaced.names.size > 0) throw diskError('ENOTEMPTY', 'rename', to);
    if (replaced?.kind === 'file') replaced.links -= 1;
    this.#setNames([
      { ...target, node },
      { ...source, node: undefined },
    ]);
  }

  async link(from: string, to: string): Promise<void> {
    await this.#begin(true);
    const node = this.#nodeAt(from, 'link');
    const target = this.#parentOf(to, 'link');
    if (target.directory.names.has(target.name)) throw diskError('EEXIST', 'link', to);
    if (node.kind === 'directory') throw diskError('EPERM', 'link', from);
    node.links += 1;
    this.#setNames([{ ...target, node }]);
  }

  async remove(path: string): Promise<void> {
    await this.#begin(true);
    const { directory, name } = this.#parentOf(path, 'unlink');
    const node = this.#nodeAt(path, 'unlink');
    if (node.kind === 'directory') throw diskError('EISDIR', 'unlink', path);
    node.links -= 1;
    this.#setNames([{ directory, name, node: undefined }]);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#begin(true);
    const synced = this.#directoryAt(path, 'fsync');
    synced.durable = new Map(synced.names);
    // A rename between directories stays one step: what it did to the synced one is done.
    this.#nameChanges = this.#nameChanges
      .map(({ steps }) => ({ steps: steps.filter(({ directory }) => directory !== synced) }))
      .filter(({ steps }) => steps.length > 0);
  }

  async space(path: string): Promise<DiskSpace> {
    await this.#begin(false);
    this.#nodeAt(path, 'statfs');
    return { freeBytes: Math.max(0, this.totalBytes - this.usedBytes), totalBytes: this.totalBytes };
  }

  /** Files of the directory with their bytes, for tests that damage them. */
  bytesOf(path: string): Buffer {
    const node = this.#nodeAt(path, 'read');
    if (node.kind === 'directory') throw diskError('EISDIR', 'read', path);
    return Buffer.from(node.content.subarray(0, node.sizeBytes));
  }

  /** Puts the bytes there from outside, durable at once and behind the back of whoever has the file open. */
  plant(path: string, bytes: Uint8Array): void {
    const { directory, name } = this.#parentOf(path, 'plant');
    const known = directory.names.get(name);
    const content = Buffer.from(bytes);
    if (known?.kind === 'file') {
      Object.assign(known, { content, sizeBytes: content.length, durable: content, changes: [] });
      known.changedAt = this.#tick();
      return;
    }
    const inode = this.#nextInode++;
    const changedAt = this.#tick();
    const size = { content, sizeBytes: content.length, durable: content };
    const node: FileNode = { kind: 'file', inode, ...size, changes: [], links: 1, changedAt };
    directory.names.set(name, node);
    directory.durable.set(name, node);
  }

  // ---

  async #begin(changing: boolean, onDeath?: () => void): Promise<void> {
    // A turn of the event loop's microtasks, so that callers at the same time interleave as they do on a real disk.
    await Promise.resolve();
    if (this.#dead) throw diskError('EIO', 'after the crash');
    if (!changing) return;
    if (this.#operations >= this.#diesAfter) {
      this.#dead = true;
      onDeath?.();
      throw diskError('EIO', 'crash');
    }
    this.#operations += 1;
  }

  #tick(): bigint {
    this.#clockNs += 1000n;
    return this.#clockNs;
  }

  #newDirectory(): DirectoryNode {
    const inode = this.#nextInode++;
    return { kind: 'directory', inode, names: new Map(), durable: new Map(), changedAt: this.#tick() };
  }

  #setNames(steps: NameChange['steps']): void {
    for (const { directory, name, node } of steps) {
      if (node) directory.names.set(name, node);
      else directory.names.delete(name);
      directory.changedAt = this.#tick();
    }
    this.#nameChanges.push({ steps });
  }

  #nodeAt(path: string, operation: string): Node {
    let node: Node = this.#root;
    for (const name of partsOf(path)) {
      if (node.kind === 'file') throw diskError('ENOTDIR', operation, path);
      const child = node.names.get(name);
      if (!child) throw diskError('ENOENT', operation, path);
      node = child;
    }
    return node;
  }

  #directoryAt(path: string, operation: string): DirectoryNode {
    const node = this.#nodeAt(path, operation);
    if (node.kind === 'file') throw diskError('ENOTDIR', operation, path);
    return node;
  }

  #parentOf(path: string, operation: string): { readonly directory: DirectoryNode; readonly name: string } {
    return { directory: this.#directoryAt(dirname(path), operation), name: partsOf(path).at(-1) ?? '' };
  }

  *#reachable(): Generator<Node> {
    const seen = new Set<Node>();
    const stack: Node[] = [this.#root];
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (seen.has(node)) continue;
      seen.add(node);
      yield node;
      if (node.kind === 'directory') stack.push(...node.names.values());
    }
  }

  #openFile(node: FileNode, mode: OpenMode): DiskFile {
    let open = true;
    this.#openFiles += 1;
    const use = async (changing: boolean, onDeath?: () => void): Promise<void> => {
      if (!open) throw diskError('EBADF', 'use after close');
      if (changing && mode === 'read') throw diskError('EBADF', 'change of a file open for reading');
      await this.#begin(changing, onDeath);
    };
    return {
      read: async (buffers, position) => {
        await use(false);
        let at = position;
        for (const buffer of buffers) {
          const end = Math.min(node.sizeBytes, at + buffer.byteLength);
          if (end <= at) continue;
          buffer.set(node.content.subarray(at, end));
          at = end;
        }
        return at - position;
      },
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers);
        await use(true, () => {
          this.#torn = { node, position, bytes };
        });
        const grownBytes = Math.max(0, position + bytes.length - node.sizeBytes);
        if (this.usedBytes + grownBytes > this.totalBytes) throw diskError('ENOSPC', 'write');
        this.#write(node, position, bytes);
      },
      sync: async () => {
        if (!open) throw diskError('EBADF', 'fdatasync');
        await this.#begin(true);
        node.durable = Buffer.from(node.content.subarray(0, node.sizeBytes));
        node.changes = [];
      },
      truncate: async (sizeBytes) => {
        await use(true);
        node.content = resized(node.content.subarray(0, node.sizeBytes), sizeBytes);
        node.sizeBytes = sizeBytes;
        node.changes.push({ kind: 'truncate', sizeBytes });
        node.changedAt = this.#tick();
      },
      stat: async () => {
        await use(false);
        return statOf(node);
      },
      close: async () => {
        if (!open) throw diskError('EBADF', 'close');
        open = false;
        this.#openFiles -= 1;
      },
    };
  }

  #write(node: FileNode, position: number, bytes: Buffer): void {
    const end = position + bytes.length;
    if (end > node.content.length) {
      node.content = resized(node.content.subarray(0, node.sizeBytes), Math.max(end, node.content.length * 2));
    }
    bytes.copy(node.content, position);
    node.sizeBytes = Math.max(node.sizeBytes, end);
    node.changes.push({ kind: 'write', position, bytes });
    node.changedAt = this.#tick();
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function statOf(node: Node): DiskStat {
  const { kind, inode, changedAt } = node;
  const file = kind === 'file' ? { sizeBytes: node.sizeBytes, links: node.links } : { sizeBytes: 0, links: 1 };
  return { kind, ...file, mtimeNs: changedAt, ctimeNs: changedAt, inode };
}
