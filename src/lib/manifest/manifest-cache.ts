// Immutable manifests in a local directory: the digest is in the file's name and checked on each read, files appear
// by rename, and a directory that is full or read-only is one warning and nothing more.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wrapSystemError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export interface CacheSlot {
  readonly cachePath: string | undefined;
  readonly storeUrl: string;
  readonly ns: string;
  readonly version: number;
}

export interface CachedManifest {
  readonly bytes: Buffer;
  /** "sha256:<hex>" */
  readonly digest: string;
}

function directoryOf(slot: CacheSlot, cachePath: string): string {
  const name = createHash('sha256').update(`${slot.storeUrl}\n${slot.ns}`).digest('hex').slice(0, 32);
  return join(cachePath, name);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Names of the cached manifests of the version: one, unless a bucket was made anew under the same name. */
async function candidates(directory: string, version: number): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => name.startsWith(`v-${version}.`) && name.endsWith('.json.gz'));
}

/** A miss where it is not there, is damaged, or is not the only one of a version whose digest is not known. */
export async function lookupCached(slot: CacheSlot, digest: string | undefined): Promise<CachedManifest | undefined> {
  if (slot.cachePath === undefined) return undefined;
  const directory = directoryOf(slot, slot.cachePath);
  let hex = digest?.slice('sha256:'.length);
  if (hex === undefined) {
    const names = await candidates(directory, slot.version);
    if (names.length !== 1) return undefined;
    hex = names[0]!.split('.')[1]!;
  }
  const bytes = await readFile(join(directory, `v-${slot.version}.${hex}.json.gz`)).catch(() => undefined);
  if (!bytes || sha256(bytes) !== hex) return undefined;
  return { bytes, digest: `sha256:${hex}` };
}

export async function storeCached(slot: CacheSlot, manifest: CachedManifest, log: Logger): Promise<void> {
  if (slot.cachePath === undefined) return;
  const directory = directoryOf(slot, slot.cachePath);
  const name = `v-${slot.version}.${manifest.digest.slice('sha256:'.length)}.json.gz`;
  const temporary = join(directory, `${name}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(temporary, manifest.bytes, { flag: 'wx' });
    await rename(temporary, join(directory, name));
    for (const other of await candidates(directory, slot.version)) {
      if (other !== name) await unlink(join(directory, other)).catch(() => undefined);
    }
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    const reason = wrapSystemError(error, `keep manifests in ${slot.cachePath}`).message;
    log.log('warn', `${reason}; every command reads them from the store`);
  }
}
