// Everything that a user, a store or somebody else can get wrong: one clear line, the right exit status, and nothing
// changed, neither in the store nor among the local files.
import { existsSync } from 'node:fs';
import { appendFile, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { expectFailure as expectFailureOf, type ExpectedFailure } from '../support/cli-failure.ts';
import { Cli, outcomeOf, snapshot, type RunOptions } from '../support/cli.ts';

let cli: Cli;
const bytes = Buffer.alloc(300_000, 'seekfs ');

beforeAll(async () => {
  cli = await Cli.create();
  await writeFile(join(cli.work, 'warm.bin'), bytes);
  await cli.succeed(['put', 'dev', 'warm.bin', '--page-size', '64KiB']);
});

const expectFailure = (
  args: readonly string[],
  expected: ExpectedFailure,
  options: RunOptions & { with?: Cli } = {},
): Promise<void> => expectFailureOf(options.with ?? cli, args, expected, options);

describe('the command line', () => {
  test.each([
    ['unknown command', ['nope'], /command nope not found; see --help/],
    ['mistyped command', ['lss'], /command lss not found; did you mean ls\?/],
    ['mistyped command of a topic', ['manifest', 'hed'], /did you mean manifest head\?/],
    ['help for an unknown command', ['help', 'nope'], /command nope not found; see --help/],
    ['a name like a flag', ['ls', 'dev', '-dash'], /a name that begins with a dash goes behind --/],
    ['unknown command of a topic', ['manifest', 'nope'], /command manifest nope not found/],
    ['unknown flag', ['ls', 'dev', '--nope'], /nonexistent flag: --nope/],
    ['unknown flag of a publishing command', ['put', 'dev', 'warm.bin', '--nope'], /nonexistent flag: --nope/],
    ['missing argument', ['cat', 'dev'], /missing PATH \(path of a file in the manifest\); see --help/],
    ['an argument of a command that takes none', ['status', 'dev'], /unexpected argument: dev/],
    ['one argument too many', ['cat', 'dev', 'warm.bin', 'x'], /unexpected argument: x/],
    ['bad size', ['cat', 'dev', 'warm.bin', '--off', '1parsec'], /--off: "1parsec" is not a size/],
    ['negative offset', ['cat', 'dev', 'warm.bin', '--off=-1'], /--off: "-1" is not a size/],
    ['bad version', ['ls', 'dev', '--at', 'three'], /--at: "three" is not a version/],
    ['a version to put', ['put', 'dev', 'warm.bin', '--at', '1'], /--at is .* which put is not; leave it out/],
    ['a version to generate', ['--at', '1', 'manifest', 'gen', 'dev'], /--at is .* which manifest gen is not/],
    ['a version to remove from', ['rm', 'dev', 'warm.bin', '--at', '1'], /--at is .* which rm is not/],
    ['two versions to go back to', ['manifest', 'rollback', 'dev', '1', '--at', '2'], /which manifest rollback is not/],
    ['bad log level', ['ls', 'dev', '--log-level', 'loud'], /--log-level=loud to be one of/],
    ['bad store', ['ls', 'dev', '--store', 'ftp://x'], /--store.*must be file:\/\/\/directory or s3:\/\/bucket/],
    ['malformed extent', ['readv', 'dev', 'warm.bin:0'], /"warm.bin:0" is not an extent/],
    ['extent with a negative length', ['readv', 'dev', 'warm.bin:0:-5'], /is not an extent/],
    ['no extent', ['readv', 'dev'], /no extents/],
    ['versions to keep of a cache', ['gc', 'dev', '--keep', '1'], /--remote/],
    ['global flag before an unknown command', ['--stats', 'nope'], /command nope not found/],
    ['nothing to put', ['put', 'dev'], /missing SOURCES \(files or directories\)/],
    ['stdin to put', ['put', 'dev', '-'], /put reads files, not stdin/],
    ['a source without a name', ['put', 'dev', ''], /a source is empty/],
    ['stdout to get into', ['get', 'dev', 'warm.bin', '-'], /"cat dev PATH" writes to stdout/],
    ['page size that is no power of two', ['put', 'dev', 'warm.bin', '--page-size', '100KiB'], /page size/],
    ['namespace with a slash', ['ls', 'a/b'], /no name of a namespace/],
    ['namespace that climbs', ['put', '..', 'warm.bin'], /no name of a namespace/],
    ['path that climbs', ['rm', 'dev', '../x'], /no path of a file/],
    ['listening where others reach it', ['serve', '--listen', '0.0.0.0:0'], /0\.0\.0\.0 can be reached by others/],
    ['listening nowhere', ['serve', '--listen', '7070'], /must be host:port/],
  ])('%s is a usage error', async (_, args, says) => {
    const code = args.includes('7070') || args.includes('ftp://x') ? 'config_invalid' : 'usage';
    await expectFailure(args, { status: 2, code, says });
  });

  test('an offset at the end of a file that is not empty cannot be satisfied', async () => {
    const expected = { status: 2, code: 'range_not_satisfiable', says: /warm\.bin: offset 300000 is past the end/ };
    await expectFailure(['cat', 'dev', 'warm.bin', '--off', '300000'], expected);
    await expectFailure(['readv', 'dev', 'warm.bin:0:10', 'warm.bin:300000:1'], expected);
  });
});

describe('names that are not there', () => {
  test.each([
    [
      'namespace',
      ['cat', 'nope', 'warm.bin'],
      'namespace_not_found',
      /namespace nope has no HEAD in file:.*; "put" and "manifest gen" publish/,
    ],
    ['namespace to remove from', ['rm', 'nope', 'x'], 'namespace_not_found', /namespace nope has no HEAD/],
    ['path', ['cat', 'dev', 'cold.bin'], 'path_not_found', /version 1 of dev has no file cold\.bin/],
    ['path of an extent', ['readv', 'dev', 'warm.bin:0:1', 'cold.bin:0:1'], 'path_not_found', /cold\.bin/],
    ['path to get', ['get', 'dev', 'cold.bin', 'out'], 'path_not_found', /cold\.bin/],
    ['path to remove', ['rm', 'dev', 'warm.bin', 'cold.bin'], 'path_not_found', /cold\.bin/],
    ['version', ['cat', 'dev', 'warm.bin', '--at', '7'], 'version_not_found', /no version 7/],
    ['version to roll back to', ['manifest', 'rollback', 'dev', '7'], 'version_not_found', /no version 7/],
    ['version to pin', ['pin', 'dev', 'x', '7'], 'version_not_found', /no version 7/],
    ['pin', ['unpin', 'dev', 'gold'], 'object_not_found', /namespace dev has no pin gold/],
    ['source', ['put', 'dev', 'cold.bin'], 'file_not_found', /cold\.bin: no such file or directory/],
    ['object to publish', ['manifest', 'gen', 'dev', 'cold.bin'], 'object_not_found', /cold\.bin/],
    ['configuration file', ['ls', 'dev', '--config', 'none.toml'], 'file_not_found', /none\.toml, named by --config/],
  ] as const)('a %s', async (_, args, code, says) => {
    await expectFailure(args, { status: 10, code, says });
  });
});

describe.skipIf(!existsSync('/dev/full'))('a stdout that takes no more', () => {
  test.each([
    ['cat', ['cat', 'dev', 'warm.bin']],
    ['readv', ['readv', 'dev', 'warm.bin:0:10']],
    ['ls', ['ls', 'dev']],
    ['ls with --json', ['ls', 'dev', '--json']],
    ['stat with --json', ['stat', 'dev', 'warm.bin', '--json']],
  ])('%s does not end as if its bytes had arrived', async (_, args) => {
    const full = await open('/dev/full', 'w');
    try {
      const { status, stderr } = await cli.run(args, { stdout: full.fd });
      const message = 'cannot write to stdout: no space left on device (ENOSPC)';
      const line = args.includes('--json')
        ? JSON.stringify({ error: { code: 'disk_full', message, details: {} } })
        : `error: ${message}`;
      expect({ status, stderr }).toEqual({ status: 16, stderr: `${line}\n` });
    } finally {
      await full.close();
    }
  });
});

describe('the configuration', () => {
  test('that is a directory', async () => {
    await expectFailure(['ls', 'dev', '--config', cli.work], {
      status: 2,
      code: 'config_invalid',
      says: /is a directory/,
    });
  });

  test('an unknown key is named with its line', async () => {
    const file = join(cli.work, 'bad.toml');
    await writeFile(file, '[cache]\n\npolice = "lru"\n');
    const says = /bad\.toml:3: unknown key cache\.police; did you mean cache\.policy\?/;
    await expectFailure(['ls', 'dev', '--config', file], { status: 2, code: 'config_invalid', says });
  });

  test('a bad variable is named', async () => {
    const env = { SEEKFS_S3_MAX_INFLIGHT_GETS: 'many' };
    const says = /SEEKFS_S3_MAX_INFLIGHT_GETS must be a whole number/;
    await expectFailure(['ls', 'dev'], { status: 2, code: 'config_invalid', says }, { env });
  });
});

describe('a damaged store', () => {
  /** A user whose store holds one version of one file, for the test to damage. */
  async function published(): Promise<Cli & { manifest: string }> {
    const user = await Cli.create();
    await writeFile(join(user.work, 'warm.bin'), bytes);
    await user.succeed(['put', 'dev', 'warm.bin']);
    // The manifest that `put` kept must not stand in for the damaged one.
    const manifest = join(user.storePath, 'namespaces/dev/manifests/v-1.json.gz');
    return Object.assign(user, { manifest });
  }

  const fresh = (user: Cli) => ({ with: user, env: { SEEKFS_CACHE: join(user.root, 'other-cache') } });
  const invalid = (says: RegExp) => ({ status: 13, code: 'manifest_invalid', says });

  /** HEAD without its digest, as other writers leave it: the manifest itself must tell. */
  async function writeManifest(user: Cli & { manifest: string }, content: Buffer): Promise<void> {
    await writeFile(user.manifest, content);
    await writeFile(join(user.storePath, 'namespaces/dev/HEAD'), 'v-1\n');
  }

  test('HEAD that points to a missing manifest', async () => {
    const user = await published();
    await writeFile(join(user.storePath, 'namespaces/dev/HEAD'), 'v-9\n');
    await expectFailure(
      ['cat', 'dev', 'warm.bin'],
      invalid(/HEAD of dev points to version 9, whose manifest is missing/),
      fresh(user),
    );
  });

  test('HEAD that is no version', async () => {
    const user = await published();
    await writeFile(join(user.storePath, 'namespaces/dev/HEAD'), 'latest\n');
    await expectFailure(['cat', 'dev', 'warm.bin'], invalid(/HEAD of dev is "latest"/), fresh(user));
  });

  test('a manifest that is not the one of the digest in HEAD', async () => {
    const user = await published();
    await writeFile(user.manifest, gzipSync(gunzipSync(await readFile(user.manifest)), { level: 1 }));
    await expectFailure(['cat', 'dev', 'warm.bin'], invalid(/has the digest sha256:.* was expected/), fresh(user));
  });

  test('a truncated manifest', async () => {
    const user = await published();
    const content = await readFile(user.manifest);
    await writeManifest(user, content.subarray(0, content.length / 2));
    await expectFailure(['cat', 'dev', 'warm.bin'], invalid(/version 1 of dev .* no whole gzip stream/), fresh(user));
  });

  test('a manifest that is not gzip', async () => {
    const user = await published();
    await writeManifest(user, gunzipSync(await readFile(user.manifest)));
    await expectFailure(['cat', 'dev', 'warm.bin'], invalid(/gzip/), fresh(user));
  });

  test('a page table that does not cover the file', async () => {
    const user = await published();
    const text = gunzipSync(await readFile(user.manifest)).toString();
    await writeManifest(user, gzipSync(text.replace('"len":300000', '"len":299999')));
    await expectFailure(['cat', 'dev', 'warm.bin'], invalid(/page/), fresh(user));
  });

  test('an object that was overwritten after publishing', async () => {
    const user = await published();
    const { storage } = (await user.json(['stat', 'dev', 'warm.bin'])) as { storage: { key: string } };
    const [objectPath] = Object.keys(await snapshot(user.storePath)).filter((path) =>
      path.includes(storage.key.split('/v-')[1]!),
    );
    await appendFile(join(user.storePath, objectPath!), 'x');
    const says = /warm\.bin.*|object.*/;
    await expectFailure(['get', 'dev', 'warm.bin', 'out'], { status: 14, code: 'object_changed', says }, fresh(user));
  });
});

test('a defect that no part of the program catches is one line and exit 1', async () => {
  // Rejects as soon as the process listens for it, while the command waits for its input.
  const defect = `const timer = setInterval(() => {
    if (process.listenerCount('uncaughtException') === 0) return;
    clearInterval(timer);
    Promise.reject(new Error('a defect'));
  }, 1);`;
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(defect)}` };
  const child = cli.spawn(['readv', 'dev', '--file', '-'], { env, input: '' });
  expect(await outcomeOf(child)).toMatchObject({ status: 1, stderr: 'error: cannot finish: a defect\n' });
});

test('an argument that is not given is not taken from the input of a shell loop', async () => {
  for (const args of [['fsck'], ['gc', '--dry-run'], ['manifest', 'show', 'dev']]) {
    await cli.succeed(args, { input: 'nowhere\n' });
  }
  const none = await cli.run(['manifest', 'head'], { input: 'dev\n' });
  expect(none).toMatchObject({ status: 2, stderr: 'error: missing NS (namespace); see --help\n' });
});
