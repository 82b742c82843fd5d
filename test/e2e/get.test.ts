// Where `get` puts files, and files without checksums on their way through every reading command.
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { expectFailure } from '../support/cli-failure.ts';
import { Cli, snapshot } from '../support/cli.ts';

let cli: Cli;

beforeAll(async () => {
  cli = await Cli.create();
  await mkdir(join(cli.work, 'source/images/deep'), { recursive: true });
  for (const path of ['a.bin', 'images/1.jpg', 'images/2.png', 'images/deep/3.jpg']) {
    await writeFile(join(cli.work, 'source', path), `bytes of ${path}`);
  }
  await cli.succeed(['put', 'dev', 'source/']);
});

describe('get', () => {
  test.each([
    ['everything into a directory', ['all'], ['a.bin', 'images/1.jpg', 'images/2.png', 'images/deep/3.jpg']],
    ['a file under another name', ['a.bin', 'b.bin'], undefined],
    ['a file into a directory that is not there yet', ['a.bin', 'into/'], ['a.bin']],
    ['a directory with its name', ['images/deep', 'with'], ['deep/3.jpg']],
    ['what is in a directory', ['images/', 'without'], ['1.jpg', '2.png', 'deep/3.jpg']],
    ['a glob', ['images/*.jpg', 'globbed'], ['1.jpg']],
    ['several', ['a.bin', 'images/deep/', 'several'], ['3.jpg', 'a.bin']],
  ])('brings %s', async (_, args, expected) => {
    await cli.succeed(['get', 'dev', ...args]);
    const destination = join(cli.work, args.at(-1)!.replace(/\/$/, ''));
    if (expected === undefined) expect(await readFile(destination, 'utf8')).toBe('bytes of a.bin');
    else expect(Object.keys(await snapshot(destination))).toEqual(expected.map((path) => join('/', path)));
  });

  test('a file that is named without a destination is refused, not taken for a directory of all', async () => {
    await expectFailure(cli, ['get', 'dev', 'a.bin'], {
      status: 2,
      code: 'usage',
      says: /give a destination behind it/,
    });
    await cli.succeed(['get', 'dev', './a.bin']);
    expect(await readdir(join(cli.work, 'a.bin'))).toEqual(['a.bin', 'images']);
  });
});

describe('a place that is taken', () => {
  test.each([
    ['a pipe', 'pipe', /pipe: it is no regular file/],
    ['a link to a device', 'null', /null: it is no regular file/],
    ['a directory', 'taken/a.bin', /a\.bin: it is a directory/],
  ])('by %s is left as it is', async (_, place, says) => {
    const other = await Cli.create();
    await mkdir(join(other.work, 'taken/a.bin'), { recursive: true });
    await symlink('/dev/null', join(other.work, 'null'));
    execFileSync('mkfifo', [join(other.work, 'pipe')]);
    const kind = async () => (await lstat(join(other.work, place))).mode;
    const before = await kind();
    const args = ['get', 'dev', 'a.bin', place.replace('a.bin', ''), '--store', `file://${cli.storePath}`];
    for (const output of [[], ['--json']]) {
      const { status, stdout, stderr } = await other.run([...args, ...output]);
      expect(status, stderr).toBe(2);
      expect(stdout.toString() + stderr).toMatch(says);
    }
    expect(await kind()).toBe(before);
  });
});

describe('a manifest without checksums', () => {
  let unchecked: Cli;
  beforeAll(async () => {
    unchecked = await Cli.create();
    await writeFile(join(unchecked.work, 'a.bin'), 'some bytes');
    await unchecked.succeed(['put', 'dev', 'a.bin']);
    const path = join(unchecked.storePath, 'namespaces/dev/manifests/v-1.json.gz');
    const text = gunzipSync(await readFile(path)).toString();
    const without = text.replaceAll(/,"crc32c":\d+/g, '').replaceAll(/,"granule_crc32c[^"]*":"[^"]*"/g, '');
    expect(without).not.toContain('crc32c');
    await writeFile(path, gzipSync(without));
    await writeFile(join(unchecked.storePath, 'namespaces/dev/HEAD'), 'v-1\n');
  });
  const fresh = () => ['--cache', join(unchecked.root, 'fresh')];

  test('is served with a warning', async () => {
    const { stdout, stderr } = await unchecked.succeed(['cat', 'dev', 'a.bin', ...fresh()]);
    expect(stdout.toString()).toBe('some bytes');
    expect(stderr).toMatch(/^warning: .*checksum/);
  });

  test('is refused with --require-checksums, and where the environment or the file say so', async () => {
    const expected = { status: 13, code: 'unchecked_refused', says: /checksum/ };
    await expectFailure(unchecked, ['cat', 'dev', 'a.bin', '--require-checksums', ...fresh()], expected);
    const env = { SEEKFS_REQUIRE_CHECKSUMS: 'true' };
    await expectFailure(unchecked, ['cat', 'dev', 'a.bin', ...fresh()], expected, { env });
    await writeFile(join(unchecked.work, 'seekfs.toml'), '[read]\nrequire_checksums = true\n');
    await expectFailure(unchecked, ['cat', 'dev', 'a.bin', ...fresh()], expected);
  });
});
