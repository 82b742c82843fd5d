// Removes what a build makes, so that no file of a source that is gone stays in the package.
import { rmSync } from 'node:fs';

for (const made of ['../dist', '../oclif.manifest.json']) {
  rmSync(new URL(made, import.meta.url), { recursive: true, force: true });
}
