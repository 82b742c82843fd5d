// A directory of its own for a test, removed when the test file is done.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

export async function temporaryDirectory(name = 'seekfs'): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  // A process that was just killed may still have put something into a directory that was thought empty.
  afterAll(() => rm(path, { recursive: true, force: true, maxRetries: 10 }));
  return path;
}
