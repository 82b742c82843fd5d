// Reading on the embedded store, as the promises say: right bytes, request order, what it costs, and that the second
// time costs nothing.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { Cli, statsOf } from '../support/cli.ts';

const PAGE_BYTES = 64 * KIB;
const STATS_FIELDS =
  'gets get_bytes meta_gets heads lists puts l1_hit_bytes l2_hit_bytes pages_fetched crc_failures elapsed_ms'.split(
    ' ',
  );
const random = seededRandom(21);
const files: Readonly<Record<string, Buffer>> = {
  'big.bin': Buffer.from(random.bytes(20 * PAGE_BYTES + 123)),
  empty: Buffer.alloc(0),
  'images/1.jpg': Buffer.from(random.bytes(5000)),
  'images/größe.jpg': Buffer.from(random.bytes(100)),
};
const big = files['big.bin']!;

let cli: Cli;

beforeAll(async () => {
  cli = await Cli.create();
  await mkdir(join(cli.work, 'data/images'), { recursive: true });
  for (const [path, bytes] of Object.entries(files)) await writeFile(join(cli.work, 'data', path), bytes);
  await cli.succeed(['put', 'dev', 'data/', '--page-size', '64KiB']);
});

describe('cat', () => {
  test('gives every file as it was, the empty one too', async () => {
    for (const [path, bytes] of Object.entries(files)) {
      expect((await cli.succeed(['cat', 'dev', path])).stdout.equals(bytes), path).toBe(true);
    }
  });

  test.each([
    ['inside a page', 10, 100],
    ['across pages', PAGE_BYTES - 1, 2],
    ['nothing', 5, 0],
    ['past the end, which is clipped', big.length - 5, 1000],
  ])('gives a range: %s', async (_, off, len) => {
    const { stdout } = await cli.succeed(['cat', 'dev', 'big.bin', '--off', String(off), '--len', String(len)]);
    expect(stdout.equals(big.subarray(off, off + len))).toBe(true);
  });

  test('costs requests once: the second process sends none, and pinned not even for HEAD', async () => {
    const cache = ['--cache', join(cli.root, 'cache-of-stats')];
    const cold = await cli.succeed(['cat', 'dev', 'big.bin', '--stats', ...cache]);
    expect(Object.keys(statsOf(cold))).toEqual(STATS_FIELDS);
    expect(statsOf(cold)).toMatchObject({ get_bytes: big.length, meta_gets: 2, heads: 0, lists: 0, puts: 0 });
    expect(statsOf(cold)).toMatchObject({ pages_fetched: 21, l2_hit_bytes: 0, crc_failures: 0 });
    expect(statsOf(cold)['gets']).toBeGreaterThan(0);
    const second = await cli.succeed(['cat', 'dev', 'big.bin', '--stats', ...cache]);
    expect(statsOf(second)).toMatchObject({ gets: 0, get_bytes: 0, meta_gets: 1, l2_hit_bytes: big.length });
    const pinned = await cli.succeed(['cat', 'dev', 'big.bin', '--stats', '--at', '1', ...cache]);
    expect(statsOf(pinned)).toMatchObject({
      gets: 0,
      meta_gets: 0,
      heads: 0,
      lists: 0,
      puts: 0,
      l2_hit_bytes: big.length,
    });
    expect(pinned.stdout.equals(big)).toBe(true);
  });

  test('--stats prints its line where the command fails, too', async () => {
    const failed = await cli.run(['cat', 'dev', 'nope', '--stats']);
    expect(failed.status).toBe(10);
    expect(failed.stderr).toContain('"meta_gets":1');
  });
});

describe('readv', () => {
  const extents: readonly [path: string, off: number, len: number][] = [
    ['big.bin', 3 * PAGE_BYTES - 10, 20],
    ['images/größe.jpg', 0, 100],
    ['big.bin', 0, 10],
    ['big.bin', 0, 10],
    ['big.bin', 5, 3 * PAGE_BYTES],
    ['empty', 0, 10],
    ['big.bin', 7, 0],
    ['images/1.jpg', 4990, 1000],
  ];
  const expected = Buffer.concat(extents.map(([path, off, len]) => files[path]!.subarray(off, off + len)));

  test('answers in request order: repeated, overlapping, empty and clipped extents, across pages and files', async () => {
    const { stdout } = await cli.succeed(['readv', 'dev', ...extents.map((extent) => extent.join(':'))]);
    expect(stdout.equals(expected)).toBe(true);
  });

  test.each([
    ['a JSON array', JSON.stringify(extents.map(([path, off, len]) => ({ path, off, len })))],
    ['lines of JSON', extents.map(([path, off, len]) => JSON.stringify({ path, off, len })).join('\n')],
    ['plain lines', extents.map((extent) => extent.join(':')).join('\n')],
  ])('takes %s from stdin and from a file', async (_, text) => {
    const fromStdin = await cli.succeed(['readv', 'dev', '--file', '-'], { input: text });
    expect((await cli.succeed(['readv', 'dev', '-'], { input: text })).stdout.equals(expected)).toBe(true);
    expect(fromStdin.stdout.equals(expected)).toBe(true);
    await writeFile(join(cli.work, 'extents'), text);
    expect((await cli.succeed(['readv', 'dev', '--file', 'extents'])).stdout.equals(expected)).toBe(true);
  });

  test('takes more extents from a file than a call takes arguments', async () => {
    const bytes = files['images/größe.jpg']!;
    const count = 2000;
    const line = Array.from(bytes, (_, off) => `images/größe.jpg:${off}:1\n`).join('');
    const { stdout } = await cli.succeed(['readv', 'dev', '-'], { input: line.repeat(count) });
    expect(stdout.equals(Buffer.concat(Array.from({ length: count }, () => bytes)))).toBe(true);
  });
});

describe('names and versions', () => {
  test('ls prints paths on stdout in byte order, by prefix, and as a document', async () => {
    expect((await cli.succeed(['ls', 'dev'])).stdout.toString()).toBe(`${Object.keys(files).join('\n')}\n`);
    expect((await cli.succeed(['ls', 'dev', 'images/'])).stdout.toString()).toBe('images/1.jpg\nimages/größe.jpg\n');
    expect((await cli.succeed(['ls'])).stdout.toString()).toBe('dev\n');
    const { stdout } = await cli.succeed(['ls', '--long']);
    expect(stdout.toString()).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}dev\n$/);
    expect(await cli.json(['ls'])).toEqual({ namespaces: [{ ns: 'dev', published_at: expect.any(Number) as number }] });
    const listed = (await cli.json(['ls', 'dev'])) as { files: { path: string; size: number }[] };
    expect(listed.files.map(({ path, size }) => [path, size])).toEqual(
      Object.entries(files).map(([path, bytes]) => [path, bytes.length]),
    );
  });

  test('what is for people goes to stderr, and nothing of it with --json', async () => {
    const plain = await cli.succeed(['stat', 'dev', 'big.bin']);
    expect(plain.stdout.toString()).toBe('');
    expect(plain.stderr).toContain('21 of up to 64.0 KiB');
    const asJson = await cli.succeed(['stat', 'dev', 'big.bin', '--json']);
    expect(asJson.stderr).toBe('');
    expect(JSON.parse(asJson.stdout.toString())).toMatchObject({ path: 'big.bin', size: big.length, pages: 21 });
  });

  test('a pinned version stays what it was, by number and by digest', async () => {
    const user = await Cli.create();
    await writeFile(join(user.work, 'a'), 'one');
    await user.succeed(['put', 'dev', 'a']);
    const { digest } = (await user.json(['manifest', 'head', 'dev'])) as { digest: string };
    await writeFile(join(user.work, 'a'), 'two');
    await user.succeed(['put', 'dev', 'a']);
    const read = async (...at: string[]) => (await user.succeed(['cat', 'dev', 'a', ...at])).stdout.toString();
    expect(await read()).toBe('two');
    for (const at of ['1', 'v1', 'v-1', `1@${digest}`]) expect(await read('--at', at)).toBe('one');
    expect((await user.run(['cat', 'dev', 'a', '--at', `2@${digest}`])).status).toBe(13);
    await user.succeed(['rm', 'dev', 'a']);
    expect((await user.run(['cat', 'dev', 'a'])).status).toBe(10);
    expect(await read('--at', '2')).toBe('two');
  });
});

test('warm fetches what is missing and no more, and --check says what is there', async () => {
  const cache = ['--cache', join(cli.root, 'cache-of-warm')];
  await cli.succeed(['cat', 'dev', 'images/1.jpg', ...cache]);
  expect((await cli.run(['warm', 'dev', '--check', ...cache])).status).toBe(3);
  expect(await cli.json(['warm', 'dev', '--dry-run', ...cache])).toMatchObject({ missing_bytes: big.length + 100 });
  expect(await cli.json(['warm', 'dev', ...cache])).toMatchObject({ fetched_bytes: big.length + 100, files: 4 });
  expect(await cli.json(['warm', 'dev', '--check', ...cache])).toMatchObject({ missing_pages: 0, damaged_pages: 0 });
  expect(await cli.json(['warm', 'dev', ...cache])).toMatchObject({ fetched_bytes: 0, gets: 0 });
});
