// Compiles the sources for tests that need processes of their own: Node 20 runs no TypeScript, and vitest transforms only
// for itself. Once per test file; the output is removed afterwards.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';

const made: string[] = [];

// When the file is loaded: a hook that is given later, in a test, is passed over.
afterAll(async () => {
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
});

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles TypeScript entries (paths from the repository's root) with what they import, and resolves with the paths of
 * the JavaScript to run, in the same order. Inside the repository, so that packages resolve.
 */
export async function compileForNode(entries: readonly string[]): Promise<string[]> {
  const cache = join(root, 'node_modules', '.cache');
  await mkdir(cache, { recursive: true });
  const outDir = await mkdtemp(join(cache, 'seekfs-test-'));
  made.push(outDir);
  const flags =
    '--ignoreConfig --noCheck --noEmit false --target es2023 --lib es2023 --module nodenext --moduleResolution nodenext --types node --rewriteRelativeImportExtensions --skipLibCheck';
  await promisify(execFile)(
    process.execPath,
    [
      join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
      ...flags.split(' '),
      '--rootDir',
      root,
      '--outDir',
      outDir,
    ].concat(entries),
    { cwd: root },
  );
  return entries.map((entry) => join(outDir, relative(root, join(root, entry)).replace(/\.ts$/, '.js')));
}
