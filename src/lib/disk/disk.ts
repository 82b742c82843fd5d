// The few file operations that seekfs uses, as an interface, so that crash, fault and model tests need no mocks of
// our own code. Who implements it throws Node's system errors (`code`: ENOENT, ENOSPC, …); callers translate.

export interface DiskStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  /** Names that the file has; 0 where an open file was unlinked. */
  readonly links: number;
}

/** Of its last change of content, in whole milliseconds since the epoch. */
export function modifiedAtMs(stat: DiskStat): number {
  return Number(stat.mtimeNs / 1_000_000n);
}

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** How a file is opened: existing for reading; existing for both; created exclusively (EEXIST) for both. */
export type OpenMode = 'read' | 'update' | 'create';

export interface DiskFile {
  /** Fills the buffers in order from `position`; resolves with the bytes read, fewer only at the end of the file. */
  read(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /**
   * As `read` into one buffer, without letting anything else run meanwhile: for bytes that the operating system holds in
   * memory. Absent: there is no such way.
   */
  readNow?(buffer: Uint8Array, position: number): number;
  /** The operating system's number of the file while it is open, for a read in another thread. Absent: there is none. */
  readonly fd?: number | undefined;
  /**
   * Writes all of the buffers in order at `position`, or throws. `direct`: past the operating system's page cache, as far as
   * buffers, position and file system allow; nothing but the time that it takes depends on it.
   */
  write(buffers: readonly Uint8Array[], position: number, options?: { readonly direct: boolean }): Promise<void>;
  /** Makes content and size durable. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  stat(): Promise<DiskStat>;
  close(): Promise<void>;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Without following a last symbolic link. */
  stat(path: string): Promise<DiskStat>;
  /** Names in the directory, sorted by code unit. */
  list(path: string): Promise<string[]>;
  /** With missing parents; no error where it exists. */
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  /** Replaces `to` atomically. */
  rename(from: string, to: string): Promise<void>;
  /** A second name; EEXIST where `to` exists. */
  link(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes the names in the directory durable. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Makes everything durable that was written to the file system of `path`; false where that cannot be asked for, and
   * files and directories are to be synced one by one. Absent: the same.
   */
  syncFileSystem?(path: string): Promise<boolean>;
  space(path: string): Promise<DiskSpace>;
}
