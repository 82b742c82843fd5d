// Segmentstores that a test opens and its file's `afterEach` closes, when they must hold no memory. Apart from
// segment-store.ts, which programs of their own use outside vitest.
import { expect } from 'vitest';
import { openTestStore, type TestStore, type TestStoreOptions } from './segment-store.ts';

const opened: TestStore[] = [];

export async function openToClose(directoryPath: string, options: TestStoreOptions = {}): Promise<TestStore> {
  const store = await openTestStore(directoryPath, options);
  opened.push(store);
  return store;
}

export async function closeOpened(): Promise<void> {
  for (const { store, memory } of opened.splice(0)) {
    await store.close();
    expect(memory.inUseBytes).toBe(0);
  }
}
