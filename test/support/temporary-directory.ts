// Directories of their own for tests, removed when the test file is done; where it is killed, with the run's (run-directory.ts).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];

// For the file as a whole, and so when it is loaded: in a test, or before each, vitest passes over such a hook. Before all
// others of the file, so that it runs after them: they unmount and end what is still in there.
afterAll(async () => {
  // A process that was just killed may still have put something into a directory that was thought empty.
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true, maxRetries: 10 });
});

export async function temporaryDirectory(name = 'seekfs'): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  made.push(path);
  return path;
}
