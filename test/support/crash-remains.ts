// What a crash leaves of the files and names of a CrashDisk. Pure: the same random numbers give the same remains.
import type { Random } from '../../src/lib/base/random.ts';

/** What a device writes at once or not at all. */
const SECTOR_BYTES = 512;

export type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly sizeBytes: number };

export interface FileNode {
  readonly kind: 'file';
  readonly inode: bigint;
  content: Buffer;
  sizeBytes: number;
  /** Content at the last sync, and what was done since. */
  durable: Buffer;
  changes: Change[];
  links: number;
  changedAt: bigint;
}

export interface DirectoryNode {
  readonly kind: 'directory';
  readonly inode: bigint;
  readonly names: Map<string, Node>;
  /** Names at the last sync of the directory. */
  durable: Map<string, Node>;
  changedAt: bigint;
}

export type Node = FileNode | DirectoryNode;

/** The write in which a disk died. */
export interface TornWrite {
  readonly node: FileNode;
  readonly position: number;
  readonly bytes: Buffer;
}

export type CrashKind =
  /** SIGKILL: all that was done is there; of the operation in flight, any prefix. */
  | 'kill'
  /** Power loss: of what was not synced any sectors, sizes and names. */
  | 'power';

/** One step of names that a crash keeps whole or not at all: a rename sets one name and clears another. */
export interface NameChange {
  readonly steps: readonly {
    readonly directory: DirectoryNode;
    readonly name: string;
    readonly node: Node | undefined;
  }[];
}

/** The tree as a machine may find it afterwards, everything in it durable. */
export function remainsOf(
  disk: {
    readonly root: DirectoryNode;
    readonly nameChanges: readonly NameChange[];
    readonly torn: TornWrite | undefined;
  },
  kind: CrashKind,
  random: Random,
): DirectoryNode {
  const { root, nameChanges, torn } = disk;
  // Some crashes keep all or nothing of what was unsynced; most are in between.
  const chance = [0, 0.1, 0.5, 0.9, 1][Math.floor(random.unit() * 5)]!;
  const names = new Map<DirectoryNode, Map<string, Node>>();
  const namesOf = (directory: DirectoryNode): Map<string, Node> => {
    let own = names.get(directory);
    if (!own) names.set(directory, (own = new Map(kind === 'kill' ? directory.names : directory.durable)));
    return own;
  };
  if (kind === 'power') {
    for (const { steps } of nameChanges) {
      if (random.unit() >= chance) continue;
      for (const { directory, name, node } of steps) {
        if (node) namesOf(directory).set(name, node);
        else namesOf(directory).delete(name);
      }
    }
  }
  const copies = new Map<Node, Node>();
  const copy = (node: Node): Node => {
    const known = copies.get(node);
    if (known) return known;
    if (node.kind === 'file') {
      const bytes = kind === 'kill' ? afterKill(node, torn, random) : afterPowerLoss(node, torn, { random, chance });
      const file: FileNode = {
        ...node,
        content: bytes,
        sizeBytes: bytes.length,
        durable: bytes,
        changes: [],
        links: 0,
      };
      copies.set(node, file);
      return file;
    }
    const directory: DirectoryNode = { ...node, names: new Map(), durable: new Map() };
    copies.set(node, directory);
    for (const [name, child] of namesOf(node)) {
      const made = copy(child);
      directory.names.set(name, made);
      if (made.kind === 'file') made.links += 1;
    }
    directory.durable = new Map(directory.names);
    return directory;
  };
  return copy(root) as DirectoryNode;
}

/** After SIGKILL: everything, and any prefix of the write in flight. */
function afterKill(node: FileNode, torn: TornWrite | undefined, random: Random): Buffer {
  const bytes = Buffer.from(node.content.subarray(0, node.sizeBytes));
  if (torn?.node !== node) return bytes;
  return overwrite(bytes, torn.position, tornBytes(torn, random));
}

/** After a power loss: what was synced, and each sector and size of the rest with the probability `chance`. */
function afterPowerLoss(
  node: FileNode,
  torn: TornWrite | undefined,
  dice: { readonly random: Random; readonly chance: number },
): Buffer {
  const { random, chance } = dice;
  let bytes: Buffer = Buffer.from(node.durable);
  const changes: Change[] = [...node.changes];
  if (torn?.node === node) {
    changes.push({ kind: 'write', position: torn.position, bytes: tornBytes(torn, random) });
  }
  // Delayed allocation: a size may be durable whose bytes are not, they read as zeros then.
  const sizeFirst = random.unit() < 0.5;
  for (const change of changes) {
    if (change.kind === 'truncate') {
      if (random.unit() < chance) bytes = resized(bytes, change.sizeBytes);
      continue;
    }
    const { position } = change;
    if (sizeFirst && random.unit() < chance)
      bytes = resized(bytes, Math.max(bytes.length, position + change.bytes.length));
    for (let at = 0; at < change.bytes.length;) {
      const end = Math.min(change.bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      if (random.unit() < chance) bytes = overwrite(bytes, position + at, change.bytes.subarray(at, end));
      at = end;
    }
  }
  return bytes;
}

function tornBytes({ bytes }: TornWrite, random: Random): Buffer {
  return bytes.subarray(0, Math.floor(random.unit() * (bytes.length + 1)));
}

export function resized(bytes: Buffer, sizeBytes: number): Buffer {
  const result = Buffer.alloc(sizeBytes);
  bytes.copy(result);
  return result;
}

function overwrite(bytes: Buffer, position: number, written: Buffer): Buffer {
  if (written.length === 0) return bytes;
  const end = position + written.length;
  const result = end > bytes.length ? resized(bytes, end) : bytes;
  written.copy(result, position);
  return result;
}
