// Where the directory store keeps the object of a key. Pure. Two trees under the root:
//
//   <root>/namespaces/dev/files/a            plain: components as they are, so that a file copied in by hand is an object
//   <root>/.seekfs/objects/d-namespaces/…/f-a  escaped: every name says what it is, so nothing is in anything's way
//
// The escaped tree holds what the plain one cannot: keys with empty, `.`, `..` or overlong components, keys that begin
// with `.seekfs`, and an object whose plain place is taken by a directory, or lies below a file. Content-addressed
// objects (`…/v-<64 hex>`) go there always, so that the plain file they are versions of keeps its name.
// Names there: `d-` component, `f-` last component, `c-` the first 80 bytes of a longer one, of which the entries below
// are the rest; bytes other than A-Z a-z 0-9 . _ - are %XX. Both trees map keys to paths one to one.
export const PRIVATE_DIRECTORY = '.seekfs';
export const ESCAPED_TREE: readonly string[] = [PRIVATE_DIRECTORY, 'objects'];

const NAME_BYTES_MAX = 255;
const CHUNK_BYTES = 80;
const CONTENT_ADDRESSED = /\/v-[0-9a-f]{64}$/;

/** Path components below the root. */
export type Place = readonly string[];

function plainPlace(key: string): Place | undefined {
  const components = key.split('/');
  if (components[0] === PRIVATE_DIRECTORY) return undefined;
  for (const component of components) {
    if (component === '' || component === '.' || component === '..') return undefined;
    if (Buffer.byteLength(component) > NAME_BYTES_MAX) return undefined;
  }
  return components;
}

function escapeBytes(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

function escapedPlace(key: string): Place {
  const place = [...ESCAPED_TREE];
  const components = key.split('/');
  for (const [index, component] of components.entries()) {
    let bytes = Buffer.from(component);
    for (; bytes.length >= CHUNK_BYTES; bytes = bytes.subarray(CHUNK_BYTES)) {
      place.push(`c-${escapeBytes(bytes.subarray(0, CHUNK_BYTES))}`);
    }
    place.push(`${index === components.length - 1 ? 'f' : 'd'}-${escapeBytes(bytes)}`);
  }
  return place;
}

/** Is the object in the escaped tree the one that counts, where both trees have one? */
export function prefersEscaped(key: string): boolean {
  return CONTENT_ADDRESSED.test(key);
}

/** The places of a key, the one that counts first. */
export function placesOf(key: string): readonly Place[] {
  const plain = plainPlace(key);
  const escaped = escapedPlace(key);
  if (!plain) return [escaped];
  return prefersEscaped(key) ? [escaped, plain] : [plain, escaped];
}

/** A directory entry as a part of keys: `bytes` holds one byte a character, so that `<` is the order of UTF-8. */
export interface KeyPart {
  readonly bytes: string;
  readonly kind: 'file' | 'directory' | 'either' | 'chunk';
}

/** UTF-8 with one character a byte; the text itself where it is ASCII. */
export function toByteString(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

export function fromByteString(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}

export function parsePlainName(name: string): KeyPart {
  return { bytes: toByteString(name), kind: 'either' };
}

const KINDS = { f: 'file', d: 'directory', c: 'chunk' } as const;

/** Undefined for a name that this store did not make. */
export function parseEscapedName(name: string): KeyPart | undefined {
  const match = /^([fdc])-((?:[A-Za-z0-9._-]|%[0-9A-F]{2})*)$/.exec(name);
  if (!match) return undefined;
  const bytes = match[2]!.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { bytes, kind: KINDS[match[1] as keyof typeof KINDS] };
}
