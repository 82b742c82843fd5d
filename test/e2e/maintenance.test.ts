// fsck, gc and status from the outside: what is damaged is found and mended, what nobody needs goes, the rest stays.
import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { Cli, snapshot, statsOf } from '../support/cli.ts';

const random = seededRandom(31);

/** A user with one file of 2 MiB, published and in the cache. */
async function warmed(): Promise<Cli & { bytes: Buffer }> {
  const cli = await Cli.create();
  const bytes = Buffer.from(random.bytes(2 * MIB));
  await writeFile(join(cli.work, 'a.bin'), bytes);
  await cli.succeed(['put', 'dev', 'a.bin']);
  await cli.succeed(['warm', 'dev']);
  return Object.assign(cli, { bytes });
}

async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte[0]! ^= 0xff;
  await file.write(byte, 0, 1, offset);
  await file.close();
}

describe('fsck', () => {
  test('a cache and a bucket that are well have no problem', async () => {
    const cli = await warmed();
    expect(await cli.json(['fsck', 'dev', '--deep'])).toMatchObject({
      cache: { problems: 0, payload_bytes: 2 * MIB, checked_bytes: 2 * MIB },
      bucket: { problems: 0, files: 1, version: 1 },
    });
  });

  test('a flipped byte is found by --deep, which changes nothing; --repair drops it; reads are right all along', async () => {
    const cli = await warmed();
    const segments = join(cli.cachePath, 'segments');
    const [segment] = await readdir(segments);
    await flipByte(join(segments, segment!), MIB);
    const before = await snapshot(cli.cachePath);
    const found = await cli.run(['fsck', '--deep']);
    expect(found.status).toBe(3);
    expect(found.stderr).toMatch(/problem: record_payload in .* \(page 0 of a\.bin\)/);
    expect(await snapshot(cli.cachePath)).toEqual(before);
    const repaired = await cli.succeed(['fsck', '--deep', '--repair', '--json']);
    expect(JSON.parse(repaired.stdout.toString())).toMatchObject({
      cache: { problems: 1, repaired: true, problems_left: 0 },
    });
    const read = await cli.succeed(['cat', 'dev', 'a.bin', '--stats']);
    expect(read.stdout.equals(cli.bytes)).toBe(true);
    expect(statsOf(read)['gets']).toBeGreaterThan(0);
    expect((await cli.run(['fsck', '--deep'])).status).toBe(0);
  });

  test('an object that is gone from the bucket is a problem of fsck NS and of manifest verify', async () => {
    const cli = await Cli.create();
    const path = join(cli.storePath, 'namespaces/dev/files/b.bin');
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, 'copied in by hand');
    await cli.succeed(['manifest', 'gen', 'dev']);
    await cli.succeed(['manifest', 'verify', 'dev', '--deep']);
    await rm(path);
    for (const args of [
      ['fsck', 'dev'],
      ['manifest', 'verify', 'dev'],
    ]) {
      const { status, stderr } = await cli.run(args);
      expect(status).toBe(3);
      expect(stderr).toMatch(/problem: missing of namespaces\/dev\/files\/b\.bin/);
    }
  });
});

describe('gc of the cache', () => {
  test('pages of a version that nobody names go, those of HEAD and of pins stay', async () => {
    const cli = await warmed();
    await cli.succeed(['pin', 'dev', 'keep', '1']);
    await writeFile(join(cli.work, 'a.bin'), random.bytes(2 * MIB));
    await cli.succeed(['put', 'dev', 'a.bin']);
    await cli.succeed(['warm', 'dev']);
    expect(await cli.json(['gc', '--dry-run'])).toMatchObject({ dead_bytes: 0 });
    await cli.succeed(['unpin', 'dev', 'keep']);
    expect(await cli.json(['gc', '--dry-run'])).toMatchObject({ dead_bytes: 2 * MIB, freed_bytes: 0 });
    expect(await cli.json(['status'])).toMatchObject({ namespaces: [{ ns: 'dev', files: 2, cached_bytes: 4 * MIB }] });
    const done = (await cli.json(['gc'])) as { freed_bytes: number };
    expect(done.freed_bytes).toBeGreaterThan(2 * MIB - 1);
    expect(await cli.json(['status'])).toMatchObject({
      namespaces: [{ ns: 'dev', files: 1, cached_bytes: 2 * MIB, version: { version: 2, present_bytes: 2 * MIB } }],
    });
    await cli.succeed(['warm', 'dev', '--check']);
  });

  test('a namespace that the store does not know keeps its pages, with a warning', async () => {
    const cli = await warmed();
    const other = ['--store', `file://${join(cli.root, 'other-store')}`];
    const { stderr } = await cli.succeed(['gc', ...other]);
    expect(stderr).toMatch(/warning: the pages of dev stay: /);
    await cli.succeed(['warm', 'dev', '--check']);
  });
});

test('gc of the bucket removes old versions and their objects, and nothing in a dry run', async () => {
  const cli = await warmed();
  await writeFile(join(cli.work, 'a.bin'), 'second');
  await cli.succeed(['put', 'dev', 'a.bin']);
  const args = ['gc', 'dev', '--remote', '--keep', '1', '--grace', '0s'];
  const before = await snapshot(join(cli.storePath, 'namespaces'));
  expect(await cli.json([...args, '--dry-run'])).toMatchObject({
    removed_versions: [1],
    objects: 1,
    object_bytes: 2 * MIB,
  });
  expect(await snapshot(join(cli.storePath, 'namespaces'))).toEqual(before);
  expect(await cli.json(args)).toMatchObject({ kept_versions: [2], removed_versions: [1], objects: 1 });
  expect((await cli.run(['cat', 'dev', 'a.bin', '--at', '1', '--cache', join(cli.root, 'c')])).status).toBe(10);
  expect((await cli.succeed(['cat', 'dev', 'a.bin'])).stdout.toString()).toBe('second');
  expect((await cli.run(['gc', '--remote'])).status).toBe(2);
});

test('warm says what the cache had no room for, and fails for it, as its check does', async () => {
  const cli = await Cli.create();
  for (const name of ['a.bin', 'b.bin', 'c.bin']) await writeFile(join(cli.work, name), random.bytes(4 * MIB));
  await cli.succeed(['put', 'dev', 'a.bin', 'b.bin', 'c.bin', '--page-size', '1MiB']);
  const env = { SEEKFS_L2_SSD_GIB: '0.0078125' };
  const first = await cli.run(['warm', 'dev', '--json'], { env });
  expect(first.status).toBe(3);
  const report = JSON.parse(first.stdout.toString()) as {
    bytes: number;
    missing_bytes: number;
    missing_paths: string[];
  };
  expect(report.missing_bytes).toBeGreaterThan(4 * MIB);
  expect(report.missing_paths.length).toBeGreaterThan(0);
  expect(first.stderr).toMatch(/error: .* in \d+ pages are not in the cache: the cache /);
  const check = await cli.run(['warm', 'dev', '--check', '--json'], { env });
  expect(JSON.parse(check.stdout.toString())).toMatchObject({ bytes: report.bytes });
  expect(check.status).toBe(3);
});
