// HEAD: the pointer to a namespace's current version. Reads it, writes it by compare-and-swap, never caches it.
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { headKey } from './key-layout.ts';

const HEAD_BYTES_MAX = 4096;

export interface HeadPointer {
  readonly version: number;
  /** "sha256:<hex>" of the manifest; undefined where another tool wrote HEAD. */
  readonly digest: string | undefined;
}

export interface HeadState extends HeadPointer {
  readonly etag: string;
  readonly modifiedAtMs: number;
}

/**
 * "v-3", "v3" or "3", and in a second line the digest. `what` is its name in errors.
 * @throws manifest_invalid
 */
export function parseHead(text: string, what = 'HEAD'): HeadPointer {
  const [first = '', second = ''] = text.split('\n').map((line) => line.trim());
  const match = /^(?:v-?)?([1-9]\d{0,15})$/.exec(first);
  const version = Number(match?.[1]);
  if (!match || !Number.isSafeInteger(version)) {
    throw new SeekfsError(
      'manifest_invalid',
      `${what} is ${JSON.stringify(first.slice(0, 80))}, it must be like "v-3"`,
    );
  }
  // Lines of a kind that we do not know are another writer's business.
  const digest = /^sha256:[0-9a-f]{64}$/.test(second) ? second : undefined;
  return { version, digest };
}

export function encodeHead(pointer: HeadPointer): string {
  return `v-${pointer.version}\n${pointer.digest === undefined ? '' : `${pointer.digest}\n`}`;
}

export function namespaceNotFound(ns: string, store: ObjectStore): SeekfsError {
  return new SeekfsError(
    'namespace_not_found',
    `namespace ${ns} has no HEAD in ${store.url}: nothing was published in it; "put" and "manifest gen" publish`,
    { details: { ns } },
  );
}

/** HEAD as it is now (one meta GET), or undefined where nothing was published. */
export async function readHead(store: ObjectStore, ns: string, signal?: AbortSignal): Promise<HeadState | undefined> {
  try {
    const object = await store.getWhole({ key: headKey(ns), sizeBytesMax: HEAD_BYTES_MAX, purpose: 'meta', signal });
    const pointer = parseHead(object.bytes.toString('utf8'), `HEAD of ${ns}`);
    return { ...pointer, etag: object.etag, modifiedAtMs: object.modifiedAtMs };
  } catch (error) {
    if (isSeekfsError(error, 'object_not_found')) return undefined;
    throw error;
  }
}

/**
 * Replaces the HEAD that was read (`expected` undefined: there was none).
 * @returns false where HEAD is another one by now
 */
export async function swapHead(
  store: ObjectStore,
  swap: {
    readonly ns: string;
    readonly expected: HeadState | undefined;
    readonly next: HeadPointer;
    /** On a store without conditional writes, where the user said so: overwrites. */
    readonly unsafe: boolean;
  },
  signal?: AbortSignal,
): Promise<boolean> {
  const { expected } = swap;
  try {
    await store.put({
      key: headKey(swap.ns),
      source: { kind: 'bytes', bytes: Buffer.from(encodeHead(swap.next)) },
      condition: swap.unsafe
        ? { kind: 'none' }
        : expected
          ? { kind: 'match', etag: expected.etag }
          : { kind: 'absent' },
      durable: true,
      contentType: 'text/plain',
      signal,
    });
    return true;
  } catch (error) {
    if (isSeekfsError(error, 'precondition_failed')) return false;
    throw error;
  }
}
