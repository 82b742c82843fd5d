// Names in the bucket: how a namespace's HEAD, manifests, files, pins and intents are called, and which names of
// namespaces and paths are allowed at all. Pure; everything that builds or takes apart a key comes here.
import { SeekfsError } from '../base/errors.ts';

/** S3's limit of a key; a path is held to it too, though a packed one needs no key of its own. */
export const KEY_BYTES_MAX = 1024;
const NAMESPACE_BYTES_MAX = 255;

const CONTENT_SUFFIX = /^v-(?:sha256:)?[0-9a-f]{64}$/;
const CONTENT_SUFFIX_BYTES = '/v-'.length + 64;

/** Lone surrogates have no UTF-8; NUL, CR and LF break file systems, headers and line protocols. */
const FORBIDDEN = /[\0\r\n]|\p{Surrogate}/u;
const BAD_COMPONENT = /(?:^|\/)(?:\.{0,2})(?:\/|$)/;

function tooLong(text: string, bytesMax: number): boolean {
  return text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax;
}

/** Why this is no path of a file, or undefined where it is one: the rule that readers of manifests apply. */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (FORBIDDEN.test(path)) return 'it has a NUL, a line break or half a surrogate pair';
  if (path.startsWith('/')) return 'it is absolute';
  if (BAD_COMPONENT.test(path)) return 'it has an empty, "." or ".." component';
  if (tooLong(path, KEY_BYTES_MAX)) return `it is longer than ${KEY_BYTES_MAX} bytes`;
  return undefined;
}

/** `pathFault`, and what a path that gets into a manifest may not be besides: the name of a content-addressed object. */
export function publishedPathFault(path: string): string | undefined {
  const fault = pathFault(path);
  if (fault) return fault;
  if (isContentComponent(lastComponent(path))) return 'its last component is the name of a content-addressed object';
  return undefined;
}

/** `publishedPathFault`, and whether the key of a content-addressed object has room for it. */
export function newPathFault(ns: string, path: string): string | undefined {
  const fault = publishedPathFault(path);
  if (fault) return fault;
  const room = KEY_BYTES_MAX - Buffer.byteLength(filesPrefix(ns)) - CONTENT_SUFFIX_BYTES;
  if (tooLong(path, room)) return `it is longer than the ${room} bytes that the key leaves for it`;
  return undefined;
}

export function namespaceFault(ns: string): string | undefined {
  if (ns === '') return 'it is empty';
  if (FORBIDDEN.test(ns)) return 'it has a NUL, a line break or half a surrogate pair';
  if (ns.includes('/') || ns === '.' || ns === '..') return 'it must be one component of a path';
  if (tooLong(ns, NAMESPACE_BYTES_MAX)) return `it is longer than ${NAMESPACE_BYTES_MAX} bytes`;
  return undefined;
}

/** @throws usage */
export function checkNamespace(ns: string): void {
  const fault = namespaceFault(ns);
  if (fault) throw new SeekfsError('usage', `${JSON.stringify(ns)} is no name of a namespace: ${fault}`);
}

/** Of a path that a user gave. @throws usage */
export function checkPath(path: string): void {
  const fault = pathFault(path);
  if (fault) throw new SeekfsError('usage', `${JSON.stringify(path)} is no path of a file: ${fault}`);
}

export const NAMESPACES_PREFIX = 'namespaces/';

export function namespacePrefix(ns: string): string {
  return `${NAMESPACES_PREFIX}${ns}/`;
}

/** What would be the namespace of a key under `NAMESPACES_PREFIX`; undefined where nothing is below it. */
export function namespaceOfKey(key: string): string | undefined {
  const end = key.indexOf('/', NAMESPACES_PREFIX.length);
  return end === -1 ? undefined : key.slice(NAMESPACES_PREFIX.length, end);
}

export function headKey(ns: string): string {
  return `${namespacePrefix(ns)}HEAD`;
}

export function manifestsPrefix(ns: string): string {
  return `${namespacePrefix(ns)}manifests/`;
}

export function manifestKey(ns: string, version: number): string {
  return `${manifestsPrefix(ns)}v-${version}.json.gz`;
}

/** The compiled index beside a manifest; named by content, because publishers that race for a version each write one. */
export function indexKey(ns: string, version: number, sha256Hex: string): string {
  return `${manifestsPrefix(ns)}v-${version}.${sha256Hex.slice(0, 16)}.idx`;
}

/** The version that a key under `manifests/` belongs to. */
export function parseManifestKey(ns: string, key: string): { version: number; kind: 'manifest' | 'index' } | undefined {
  const prefix = manifestsPrefix(ns);
  if (!key.startsWith(prefix)) return undefined;
  const match = /^v-([1-9]\d{0,15})\.(?:(json\.gz)|[0-9a-f]{16}\.idx)$/.exec(key.slice(prefix.length));
  const version = Number(match?.[1]);
  return match && Number.isSafeInteger(version) ? { version, kind: match[2] ? 'manifest' : 'index' } : undefined;
}

export function filesPrefix(ns: string): string {
  return `${namespacePrefix(ns)}files/`;
}

/** Where any tool puts the object of a file. */
export function fileKey(ns: string, path: string): string {
  return filesPrefix(ns) + path;
}

/** Where `put` stores a file's content. */
export function contentKey(ns: string, path: string, sha256Hex: string): string {
  return `${filesPrefix(ns)}${path}/v-${sha256Hex}`;
}

/** Where `put --pack` stores a tar shard: content-addressed, and under `files/`, so that one listing shows it too. */
export function shardKey(ns: string, sha256Hex: string): string {
  return contentKey(ns, '.packs', sha256Hex);
}

function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isContentComponent(component: string): boolean {
  return CONTENT_SUFFIX.test(component);
}

/** Is this the key of a content-addressed object, which is never a path of its own? */
export function isContentKey(key: string): boolean {
  return isContentComponent(lastComponent(key));
}

export function pinsPrefix(ns: string): string {
  return `${namespacePrefix(ns)}pins/`;
}

export function pinKey(ns: string, name: string): string {
  return pinsPrefix(ns) + name;
}

export function intentsPrefix(ns: string): string {
  return `${namespacePrefix(ns)}intents/`;
}

export function intentKey(ns: string, id: string): string {
  return intentsPrefix(ns) + id;
}

/** The mark of a running gc, which publishers wait for; it lies among the intents, and no intent has this id. */
export function gcMarkKey(ns: string): string {
  return intentKey(ns, 'gc');
}

/** What a gc is about to remove, as long as it has not. */
export function releasedKey(ns: string): string {
  return `${namespacePrefix(ns)}gc/released.jsonl.gz`;
}

/** The namespace and path that a key under `files/` belongs to, content-addressed or not; undefined for other keys. */
export function fileOfKey(key: string): { ns: string; path: string } | undefined {
  const match = /^namespaces\/([^/]+)\/files\/(.+?)(?:\/v-[0-9a-f]{64})?$/s.exec(key);
  return match ? { ns: match[1]!, path: match[2]! } : undefined;
}
