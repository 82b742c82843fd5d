// Installs and builds what is missing or out of date, so that each of the README's commands is enough by itself.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);
const modifiedMs = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}

function newestMs(directory) {
  return Math.max(
    modifiedMs(directory),
    ...readdirSync(directory, { withFileTypes: true }).map((entry) =>
      entry.isDirectory() ? newestMs(join(directory, entry.name)) : modifiedMs(join(directory, entry.name)),
    ),
  );
}

if (modifiedMs(at('package-lock.json')) > modifiedMs(at('node_modules', '.package-lock.json'))) {
  run('npm', ['ci', '--no-audit', '--no-fund']);
}

const configurations = ['package.json', 'tsconfig.build.json', '.ci/bundle.js'];
const sourcesMs = Math.max(newestMs(at('src')), ...configurations.map((path) => modifiedMs(at(path))));
if (sourcesMs > modifiedMs(at('oclif.manifest.json'))) run('npm', ['run', '--silent', 'build']);
