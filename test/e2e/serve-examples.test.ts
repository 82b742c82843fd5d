// The examples of docs/operations.md name only what exists: flags, environment variables, endpoints, metrics.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import Serve from '../../src/commands/serve.ts';
import { METRIC_TABLE } from '../../src/lib/base/metrics.ts';
import { ENDPOINTS } from '../../src/lib/blobapi/endpoints.ts';
import { SETTINGS } from '../../src/lib/config/schema.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const read = (name: string): string => readFileSync(new URL(`../../docs/examples/${name}`, import.meta.url), 'utf8');

const found = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!);

test.each(['seekfs.service', 'Containerfile', 'daemonset.yaml'])('%s', (name) => {
  const text = read(name);
  const flags = found(text.replaceAll(/^RUN.*$/gm, ''), /--([a-z-]+)/g);
  expect(flags.length).toBeGreaterThan(0);
  for (const flag of flags) expect(Object.keys(Serve.flags)).toContain(flag);
  const environment = [...Object.values(SETTINGS).map((row) => ('env' in row ? row.env : '')), 'SEEKFS_CONFIG'];
  for (const variable of found(text, /(SEEKFS_\w+)/g)) expect(environment).toContain(variable);
  const paths = Object.values(ENDPOINTS).map(({ path }) => path as string);
  for (const path of found(text, /path: (\/\w+), port/g)) expect(paths).toContain(path);
});

test('grafana.json', () => {
  const { panels } = JSON.parse(read('grafana.json')) as { panels: { targets: { expr: string }[] }[] };
  const names = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => found(expr, /(seekfs_\w+)/g)));
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) expect(Object.keys(METRIC_TABLE)).toContain(name.replace(/_bucket$/, ''));
});

const SYSTEMD_ANALYZE = '/usr/bin/systemd-analyze';
if (!existsSync(SYSTEMD_ANALYZE)) process.stderr.write('skipped: systemd-analyze is not installed\n');

test.skipIf(!existsSync(SYSTEMD_ANALYZE))('systemd takes the unit, and would not take a misspelt one', async () => {
  const directory = await temporaryDirectory('seekfs-unit');
  const findings = async (unit: string): Promise<string> => {
    const file = join(directory, 'seekfs.service');
    await writeFile(file, unit);
    return execFileSync('/bin/sh', ['-c', `${SYSTEMD_ANALYZE} verify ${file} 2>&1 || true`], { encoding: 'utf8' });
  };
  const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
  const unit = read('seekfs.service').replace('/usr/bin/env seekfs', `${process.execPath} ${program}`);
  expect(unit).toContain(program);
  expect(await findings(unit)).toBe('');
  expect(await findings(unit.replace('KillMode=mixed', 'KillMode=mix'))).toMatch(/kill ?mode/i);
});
