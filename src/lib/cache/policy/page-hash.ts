// The 32-bit name of a page inside the retention policies. Two pages that collide share their heat, nothing else.

/** What identifies a page in the cache; every `Page` and every record key has these. */
export interface PageName {
  readonly ns: string;
  readonly path: string;
  /** "sha256:<hex>" or "etag:<etag>". */
  readonly identity: string;
  readonly pageId: number;
}

/** A page as the policy of its namespace knows it. */
export interface HashedPage {
  readonly ns: string;
  /** Of `pageHash`. */
  readonly key: number;
}

const FNV_PRIME = 0x01000193;
/** Enough of a digest to tell versions apart, without walking all of it on each read. */
const IDENTITY_CHARACTERS = 16;

export function pageHash(page: PageName): number {
  let hash = 0x811c9dc5;
  const { path, identity } = page;
  for (let at = 0; at < path.length; at += 1) hash = Math.imul(hash ^ path.charCodeAt(at), FNV_PRIME);
  const identityEnd = Math.min(identity.length, IDENTITY_CHARACTERS);
  for (let at = 0; at < identityEnd; at += 1) hash = Math.imul(hash ^ identity.charCodeAt(at), FNV_PRIME);
  return mix(hash, page.pageId);
}

/** A well-mixed 32-bit hash of two words (the finalizer of MurmurHash3). */
export function mix(word: number, salt: number): number {
  let hash = Math.imul(word ^ Math.imul(salt + 1, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 13), 0x27d4eb2f);
  return (hash ^ (hash >>> 16)) >>> 0;
}
