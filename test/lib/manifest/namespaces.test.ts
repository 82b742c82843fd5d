import { describe, expect, test } from 'vitest';
import { contentKey, fileKey, headKey } from '../../../src/lib/manifest/key-layout.ts';
import { listNamespaces } from '../../../src/lib/manifest/namespaces.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { ListRequest } from '../../../src/lib/objectstore/object-store.ts';
import { putObject } from '../../support/manifest-deps.ts';

class CountingStore extends MemoryObjectStore {
  lists = 0;

  override list(request: ListRequest): ReturnType<MemoryObjectStore['list']> {
    this.lists += 1;
    return super.list(request);
  }
}

async function listed(store: MemoryObjectStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { ns } of listNamespaces({ store })) names.push(ns);
  return names;
}

describe('namespaces', () => {
  test('are those with a HEAD, in the order of the store', async () => {
    const store = new MemoryObjectStore();
    // Names that sort around the slash behind "a", and one that is of no namespace.
    for (const ns of ['a', 'a-b', 'a0', 'ab', 'ü', 'z']) await putObject(store, headKey(ns), 'v-1\n');
    await putObject(store, fileKey('unpublished', 'x'), 'x');
    for (const key of ['namespaces/HEAD', 'namespaces/a/b/HEAD', 'namespaces//HEAD', 'other/c/HEAD']) {
      await putObject(store, key, 'x');
    }
    expect(await listed(store)).toEqual(['a-b', 'a', 'a0', 'ab', 'z', 'ü']);
    expect(await listed(new MemoryObjectStore())).toEqual([]);
  });

  test('of many objects are left after one page', async () => {
    const store = new CountingStore();
    for (const ns of ['big', 'small', 'vast']) {
      await putObject(store, headKey(ns), 'v-1\n');
      for (let index = 0; index < (ns === 'small' ? 1 : 3500); index += 1) {
        await putObject(store, contentKey(ns, String(index), '0'.repeat(64)), '');
      }
    }
    expect(await listed(store)).toEqual(['big', 'small', 'vast']);
    // A page of `big`; one of `small` and `vast`; nothing.
    expect(store.lists).toBe(3);
  });

  test('whose HEAD lies behind a page of other keys are found', async () => {
    const store = new CountingStore();
    for (let index = 0; index < 1200; index += 1) await putObject(store, `namespaces/x/.foreign/${index}`, '');
    await putObject(store, headKey('x'), 'v-1\n');
    expect(await listed(store)).toEqual(['x']);
  });
});
