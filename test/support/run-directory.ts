// vitest's globalSetup: every temporary directory of a run lies in one of the run's, which goes with it. So also those go
// that a test process left which was killed, and a run that is killed leaves one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'seekfs-test-'));
  // Test files are processes that inherit it.
  process.env['TMPDIR'] = directory;
  return () => rm(directory, { recursive: true, force: true, maxRetries: 10 });
}
