import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { walkSources } from '../../../src/lib/manifest/local-tree.ts';
import { FaultDisk, type DiskOperation } from '../../support/fault-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let root: string;
let disk: FaultDisk;

beforeEach(async () => {
  root = await temporaryDirectory();
  disk = new FaultDisk(nodeDisk);
  await mkdir(join(root, 'set', 'deep'), { recursive: true });
  for (const name of ['set/b', 'set/a', 'set/deep/c']) await writeFile(join(root, name), name);
});

async function walk(source: string, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const file of walkSources(disk, { ns: 'dev', sources: [root + source], prefix })) {
    found.push(
      file.kind === 'file' ? `${file.path} of ${file.stat.sizeBytes}` : `skip: ${file.kind === 'skip' && file.reason}`,
    );
  }
  return found;
}

test.each([
  ['/set', '', 'set'],
  ['/set/', '', ''],
  ['/set//', 'under/', 'under'],
  ['/set/.', '', ''],
  ['/set', 'under', 'under/set'],
  ['/set/deep/..', '', ''],
])('%s under the prefix "%s" is named by the rule of cp -r', async (source, prefix, below) => {
  const at = below === '' ? '' : `${below}/`;
  expect(await walk(source, prefix)).toEqual([`${at}a of 5`, `${at}b of 5`, `${at}deep/c of 10`]);
});

test('links below a source are left out, a source that is one stands for what it leads to', async () => {
  await symlink(join(root, 'set'), join(root, 'link'));
  await symlink(join(root, 'set/a'), join(root, 'set/z'));
  expect(await walk('/set')).toContain('skip: a symbolic link');
  expect(await walk('/link')).toContain('link/a of 5');
});

test.each([
  ['/none', 'file_not_found'],
  ['/set/a/', 'usage'],
])('%s is %s', async (source, code) => {
  await expect(walk(source)).rejects.toMatchObject({ code });
});

test.each<[DiskOperation, string]>([
  ['list', 'cannot list'],
  ['stat', 'cannot read'],
])('what the disk refuses to %s is an error that names it, not a file less', async (operation, message) => {
  disk.fail({ code: 'EACCES', operations: [operation], path: /deep/ });
  await expect(walk('/set')).rejects.toMatchObject({
    code: 'access_denied',
    message: expect.stringContaining(`${message} ${join(root, 'set/deep')}`) as string,
  });
});
