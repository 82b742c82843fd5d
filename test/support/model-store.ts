// An object store as a value: what is in it, and what each request makes of it and answers. Pure, so that every order of
// requests can be tried. ETags are digests of content, as S3's are. For the exploration of publishing only.
import { createHash } from 'node:crypto';
import { SeekfsError } from '../../src/lib/base/errors.ts';
import type { ObjectHead, ObjectListing, PutCondition, WholeObject } from '../../src/lib/objectstore/object-store.ts';

/** What an actor asks for. `wait` lasts until gc's mark is gone, or its lease is over. */
export type ModelRequest =
  | { readonly kind: 'head' | 'get'; readonly key: string; readonly ifMatch?: string | undefined }
  | { readonly kind: 'list'; readonly prefix: string }
  | { readonly kind: 'put'; readonly key: string; readonly bytes: Buffer; readonly condition: PutCondition }
  | { readonly kind: 'delete'; readonly keys: readonly string[] }
  | { readonly kind: 'wait' };

export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'late' }
  | { readonly kind: 'object'; readonly object: WholeObject }
  | { readonly kind: 'listing'; readonly objects: readonly ObjectListing[] }
  | { readonly kind: 'put'; readonly etag: string }
  | {
      readonly kind: 'error';
      readonly code: 'object_not_found' | 'object_changed' | 'precondition_failed' | 'store_unavailable';
    };

interface StoredObject {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly writtenAt: number;
}

/** Time goes in leases: between two of its steps nobody's lease is over. */
export interface ModelStore {
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly time: number;
}

export const BEGIN_MS = Date.UTC(2026, 0, 1);
export const TIME_STEP_MS = 20 * 60_000;

export function describeRequest(request: ModelRequest): string {
  switch (request.kind) {
    case 'put':
      return `put ${request.key} ${request.condition.kind}`;
    case 'delete':
      return `delete ${request.keys.join(' ')}`;
    case 'list':
      return `list ${request.prefix}`;
    case 'wait':
      return 'wait';
    case 'head':
    case 'get':
      return `${request.kind} ${request.key}`;
  }
}

/** Two stores of one key hold the same. */
export function storeKey(store: ModelStore): string {
  const objects = [...store.objects].map(([key, { etag, writtenAt }]) => `${key} ${etag} ${writtenAt}`);
  return `${store.time}\n${objects.sort().join('\n')}`;
}

export function answerKey(answer: Answer): string {
  if (answer.kind === 'object') return headKeyOf(answer.object);
  if (answer.kind === 'listing') return answer.objects.map(headKeyOf).join('\n');
  return JSON.stringify(answer);
}

function headKeyOf(head: ObjectHead): string {
  return `${head.key} ${head.etag} ${head.modifiedAtMs}`;
}

function changed(store: ModelStore, change: (objects: Map<string, StoredObject>) => void): ModelStore {
  const objects = new Map(store.objects);
  change(objects);
  return { ...store, objects };
}

export function touch(store: ModelStore, keys: readonly string[]): ModelStore {
  return changed(store, (objects) => {
    for (const key of keys) {
      const object = objects.get(key);
      if (object) objects.set(key, { ...object, writtenAt: store.time });
    }
  });
}

/** Carries a request out. Deletes are of one key: what a store does between two of a batch is seen by all. */
export function carryOut(store: ModelStore, request: ModelRequest): { store: ModelStore; answer: Answer } {
  switch (request.kind) {
    case 'head':
    case 'get': {
      const object = store.objects.get(request.key);
      if (!object) return { store, answer: { kind: 'error', code: 'object_not_found' } };
      if (request.ifMatch !== undefined && request.ifMatch !== object.etag) {
        return { store, answer: { kind: 'error', code: 'object_changed' } };
      }
      return { store, answer: { kind: 'object', object: { ...headOf(request.key, object), bytes: object.bytes } } };
    }
    case 'list': {
      const keys = [...store.objects.keys()].filter((key) => key.startsWith(request.prefix)).sort();
      const objects = keys.map((key) => headOf(key, store.objects.get(key)!));
      return { store, answer: { kind: 'listing', objects } };
    }
    case 'put': {
      const { key, bytes, condition } = request;
      const current = store.objects.get(key);
      const isRefused =
        (condition.kind === 'absent' && current) || (condition.kind === 'match' && current?.etag !== condition.etag);
      if (isRefused) return { store, answer: { kind: 'error', code: 'precondition_failed' } };
      const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
      const next = changed(store, (objects) => objects.set(key, { bytes, etag, writtenAt: store.time }));
      return { store: next, answer: { kind: 'put', etag } };
    }
    case 'delete':
      return {
        store: changed(store, (objects) => {
          for (const key of request.keys) objects.delete(key);
        }),
        answer: { kind: 'done' },
      };
    case 'wait':
      return { store, answer: { kind: 'done' } };
  }
}

function headOf(key: string, object: StoredObject): ObjectHead {
  const { bytes, etag, writtenAt } = object;
  return { key, sizeBytes: bytes.length, etag, modifiedAtMs: BEGIN_MS + writtenAt * TIME_STEP_MS };
}

export function errorOf(answer: { readonly code: ConstructorParameters<typeof SeekfsError>[0] }): SeekfsError {
  return new SeekfsError(answer.code, `the model says ${answer.code}`);
}
