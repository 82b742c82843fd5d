// The members of one tar shard as entries of a manifest, while the shard streams by: ranges of the shard with checksums
// of their own.
import { SeekfsError } from '../base/errors.ts';
import { membersPrefix, type ObjectToRead } from './bucket-scan.ts';
import { FileChecksums } from './checksums.ts';
import { newPathFault } from './key-layout.ts';
import { newEntry } from './new-entry.ts';
import { TarScan, type TarMember } from './tar-format.ts';
import type { FileEntry } from './types.ts';

export class TarMembers {
  readonly #options: { readonly ns: string; readonly pageSizeBytes: number };
  readonly #item: ObjectToRead;
  readonly #scan: TarScan;
  readonly #entries = new Map<string, FileEntry>();
  #skipped = 0;
  #current: { readonly path: string; readonly member: TarMember; readonly checksums: FileChecksums } | undefined;

  constructor(options: { readonly ns: string; readonly pageSizeBytes: number }, item: ObjectToRead) {
    this.#options = options;
    this.#item = item;
    this.#scan = new TarScan({
      begin: (member) => this.#begin(member),
      bytes: (part) => this.#current?.checksums.update(part),
      end: () => this.#end(),
    });
  }

  #begin(member: TarMember): void {
    const { ns, pageSizeBytes } = this.#options;
    // "./x" is how tar writes what it was given as ".".
    const path = membersPrefix(this.#item.path) + member.name.replace(/^(?:\.\/+)+/, '');
    const isFile = newPathFault(ns, path) === undefined;
    if (!isFile) this.#skipped += 1;
    this.#current = isFile ? { path, member, checksums: new FileChecksums(pageSizeBytes) } : undefined;
  }

  #end(): void {
    if (!this.#current) return;
    const { path, member, checksums } = this.#current;
    const { key, etag, modifiedAtMs } = this.#item.object;
    this.#entries.set(path, newEntry({ path, modifiedAtMs, key, etag, off: member.off }, checksums.finish()));
    this.#current = undefined;
  }

  /** @throws usage, naming the object, where it is no tar */
  push(chunk: Uint8Array): void {
    this.#naming(() => this.#scan.push(chunk));
  }

  finish(): { entries: readonly FileEntry[]; skipped: number } {
    this.#naming(() => this.#scan.finish());
    return { entries: [...this.#entries.values()], skipped: this.#skipped };
  }

  #naming(work: () => void): void {
    try {
      work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SeekfsError(
        'usage',
        `cannot index ${this.#item.path}: ${reason}; leave it out, or run without --index-tar`,
        {
          cause: error,
        },
      );
    }
  }
}
