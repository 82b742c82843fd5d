// Which namespaces a bucket has: those with a HEAD. For `ls` without a namespace; nothing else asks for it.
import type { ObjectListing, ObjectStore } from '../objectstore/object-store.ts';
import { compareKeys } from '../objectstore/key.ts';
import { headKey, namespaceFault, namespaceOfKey, NAMESPACES_PREFIX } from './key-layout.ts';

export interface NamespaceListing {
  readonly ns: string;
  /** When HEAD was last moved, by the store's clock. */
  readonly publishedAtMs: number;
}

/**
 * In the order in which the store lists. One LIST for each namespace that is larger than a page of the listing: a
 * namespace is left as soon as its HEAD was seen, or must have been.
 * @throws what the store throws
 */
export async function* listNamespaces(
  { store }: { readonly store: Pick<ObjectStore, 'list'> },
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<NamespaceListing> {
  const { signal } = options;
  let startAfter: string | undefined;
  for (let isDone = false; !isDone;) {
    isDone = true;
    for await (const page of store.list({ prefix: NAMESPACES_PREFIX, startAfter, signal })) {
      yield* headsIn(page);
      const past = afterNamespace(page.at(-1));
      if (past === undefined) continue;
      startAfter = past;
      isDone = false;
      break;
    }
  }
}

function* headsIn(page: readonly ObjectListing[]): Generator<NamespaceListing> {
  for (const { key, modifiedAtMs } of page) {
    const ns = namespaceOfKey(key);
    if (ns !== undefined && key === headKey(ns) && namespaceFault(ns) === undefined) {
      yield { ns, publishedAtMs: modifiedAtMs };
    }
  }
}

/** Where to go on once nothing more of the object's namespace matters; undefined: with what comes next. */
function afterNamespace(last: ObjectListing | undefined): string | undefined {
  const ns = last && namespaceOfKey(last.key);
  if (ns === undefined || compareKeys(last!.key, headKey(ns)) < 0) return undefined;
  // The first key that no longer begins with the namespace's prefix: "0" comes after "/".
  return `${NAMESPACES_PREFIX}${ns}0`;
}
