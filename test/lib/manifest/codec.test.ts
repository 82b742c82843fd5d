import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { decodeManifest, encodeManifest } from '../../../src/lib/manifest/codec.ts';
import { compareKeys } from '../../../src/lib/objectstore/key.ts';
import type { FileEntry, ManifestHeader } from '../../../src/lib/manifest/types.ts';
import { fuzzCodec } from '../../support/codec-fuzz.ts';
import { anyEntries } from '../../support/file-entries.ts';
import { parseSeedManifest } from '../../support/seed-manifest.ts';

async function decode(
  packed: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<{ header: ManifestHeader; files: FileEntry[] }> {
  const files: FileEntry[] = [];
  const header = await decodeManifest(packed, { onEntry: (entry) => files.push(entry) });
  return { header, files };
}

async function encode(header: ManifestHeader, files: Iterable<FileEntry>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of encodeManifest(header, files)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const golden = readFileSync(new URL('../../golden/manifest/seed-v3.json', import.meta.url));

const header: ManifestHeader = {
  version: 3,
  parents: [2],
  tombstones: ['old.bin'],
  createdAtS: 1_735_689_600,
  publishId: undefined,
  index: undefined,
};

function seedFile(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    path: 'a',
    size: 9,
    hash: `sha256:${'0'.repeat(64)}`,
    page_table: [{ page_id: 0, off: 0, len: 9, crc32c: 1 }],
    storage: { key: 'namespaces/dev/files/a', etag: '"e"', sse: null },
    ...fields,
  };
}

function seedManifest(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { version: 1, parents: [], tombstones: [], created_at: 0, files: [seedFile()], ...fields };
}

const packJson = (value: unknown): Buffer => gzipSync(JSON.stringify(value));

describe('a manifest of the seed', () => {
  test('decodes field by field', async () => {
    const { header: decoded, files } = await decode(gzipSync(golden));
    expect(decoded).toEqual(header);
    expect(files.map((file) => file.path)).toEqual(['warm.bin', 'empty', 'dir/two pages.bin']);
    expect(files[0]).toEqual({
      path: 'warm.bin',
      sizeBytes: 9,
      hash: 'sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
      storage: {
        key: 'namespaces/dev/files/warm.bin',
        etag: '"25f9e794323b453885f5181f1b624d0b"',
        sse: undefined,
        off: 0,
      },
      pages: [{ pageId: 0, off: 0, len: 9, crc32c: 0xe3069283 }],
      granuleCrcs: undefined,
      modifiedAtMs: undefined,
      extra: undefined,
    });
    expect(files[2]!.extra).toEqual({ x_unknown: { kept: [1, 2] } });
    expect(files[2]!.storage.sse).toBe('AES256');
  });

  test('comes out of our encoder as it was, unknown fields included', async () => {
    const { header: decoded, files } = await decode(gzipSync(golden));
    const written = parseSeedManifest(await encode(decoded, files));
    expect(written).toEqual(JSON.parse(golden.toString('utf8')));
  });

  test('decodes the same however the bytes are cut', async () => {
    const packed = gzipSync(golden);
    const whole = await decode(packed);
    const cut = async function* (): AsyncIterable<Uint8Array> {
      for (const byte of packed) yield await Promise.resolve(Uint8Array.of(byte));
    };
    expect(await decode(cut())).toEqual(whole);
  });
});

describe('what we write', () => {
  test('decodes to what it was, for any entries', async () => {
    await fc.assert(
      fc.asyncProperty(anyEntries(20), async (files) => {
        files.sort((a, b) => compareKeys(a.path, b.path));
        const ours = {
          ...header,
          publishId: '0123456789abcdef',
          index: { key: 'k', digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 5 },
        };
        expect(await decode(await encode(ours, files))).toEqual({ header: ours, files });
      }),
      { numRuns: 60 },
    );
  });

  test('has what is ours about the whole manifest before the files', async () => {
    const { gunzipSync } = await import('node:zlib');
    const text = gunzipSync(await encode({ ...header, publishId: 'p' }, [])).toString('utf8');
    expect(Object.keys(JSON.parse(text) as object)).toEqual([
      'version',
      'parents',
      'created_at',
      'publish_id',
      'tombstones',
      'files',
    ]);
  });
});

const page = (off: unknown, len: unknown, pageId: unknown = off): unknown => ({
  page_id: pageId,
  off,
  len,
  crc32c: 1,
});

const files = (...changes: Record<string, unknown>[]): unknown => seedManifest({ files: changes.map(seedFile) });

describe('a hostile manifest is manifest_invalid:', () => {
  test.each<[string, Buffer]>([
    ['no gzip', Buffer.from('{}')],
    ['nothing', Buffer.alloc(0)],
    ['half a gzip stream', gzipSync(golden).subarray(0, 200)],
    ['no JSON', gzipSync('version: 1')],
    ['a JSON array', gzipSync('[]')],
    ['half a document', gzipSync(golden.subarray(0, -10))],
    ['something after the end', gzipSync(Buffer.concat([golden, Buffer.from('{}')]))],
    ['no files', packJson({ version: 1, parents: [], tombstones: [], created_at: 0 })],
    ['files twice', gzipSync('{"version":1,"created_at":0,"files":[],"files":[]}')],
    ['files that are no array', packJson(seedManifest({ files: {} }))],
    ['a file that is no object', packJson(seedManifest({ files: [1] }))],
    ['a missing comma', gzipSync('{"version":1,"created_at":0 "files":[]}')],
    ['a trailing comma', gzipSync('{"version":1,"created_at":0,"files":[],}')],
    ['a missing value', gzipSync('{"version":,"created_at":0,"files":[]}')],
    ['version 0', packJson(seedManifest({ version: 0 }))],
    ['a negative version', packJson(seedManifest({ version: -1 }))],
    ['an unsafe version', packJson(seedManifest({ version: 2 ** 53 }))],
    ['a version that is a string', packJson(seedManifest({ version: '1' }))],
    ['parents that are no list', packJson(seedManifest({ parents: 1 }))],
    ['a tombstone that climbs', packJson(seedManifest({ tombstones: ['../x'] }))],
    ['no created_at', gzipSync('{"version":1,"files":[]}')],
    ['a negative size', packJson(files({ size: -1 }))],
    ['an unsafe size', gzipSync(JSON.stringify(files({})).replace('"size":9', '"size":1e300'))],
    ['a fractional size', packJson(files({ size: 8.5 }))],
    ['a short page table', packJson(files({ page_table: [page(0, 8)] }))],
    ['a long page table', packJson(files({ page_table: [page(0, 9), page(9, 1)] }))],
    ['a gap', packJson(files({ page_table: [page(0, 4), page(5, 4)] }))],
    ['an overlap', packJson(files({ page_table: [page(0, 5), page(4, 5)] }))],
    ['an empty page', packJson(files({ page_table: [page(0, 9), page(9, 0)] }))],
    ['no pages', packJson(files({ page_table: [] }))],
    ['no page table', packJson(files({ page_table: undefined }))],
    ['a page id twice', packJson(files({ page_table: [page(0, 4, 1), page(4, 5, 1)] }))],
    ['a negative offset', packJson(files({ page_table: [page(-1, 10)] }))],
    ['a huge page', packJson(files({ page_table: [page(0, 2 ** 52)] }))],
    ['a CRC of 33 bits', packJson(files({ page_table: [{ page_id: 0, off: 0, len: 9, crc32c: 2 ** 32 }] }))],
    ['a path that climbs', packJson(files({ path: 'a/../b' }))],
    ['an absolute path', packJson(files({ path: '/etc/passwd' }))],
    ['a path with NUL', packJson(files({ path: 'a\0b' }))],
    ['a path with a line break', packJson(files({ path: 'a\nb' }))],
    ['half a surrogate pair', packJson(files({ path: 'a\ud800' }))],
    ['an empty component', packJson(files({ path: 'a//b' }))],
    ['an empty path', packJson(files({ path: '' }))],
    ['a path of 2,000 bytes', packJson(files({ path: 'x'.repeat(2000) }))],
    ['another hash', packJson(files({ hash: 'md5:00' }))],
    ['no storage', packJson(files({ storage: null }))],
    ['no key', packJson(files({ storage: { etag: null, sse: null } }))],
    ['an ETag that breaks a header', packJson(files({ storage: { key: 'k', etag: '"a"\r\nx: y', sse: null } }))],
    ['granules that do not fit', packJson(files({ granule_crc32c: 'AAAAAAAAAAA=' }))],
    [
      'an unsafe offset in a shard',
      packJson(files({ storage: { key: 'k', etag: null, sse: null, off: 2 ** 53 - 2 } })),
    ],
    ['bytes that are no UTF-8', gzipSync(Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]))],
    ['a deep value', gzipSync(`{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},"files":[]}`)],
  ])('%s', async (_name, packed) => {
    await expect(decode(packed)).rejects.toMatchObject({ code: 'manifest_invalid' });
  });

  test('a gzip bomb, long before it has unpacked', async () => {
    const zeros = gzipSync(Buffer.alloc(256 * 1024 * 1024, 0x20), { level: 9 });
    await expect(decode(zeros)).rejects.toMatchObject({
      code: 'manifest_invalid',
      message: expect.stringMatching(/bomb/) as string,
    });
  });

  test('one entry without end', async () => {
    const zeros = gzipSync(Buffer.concat([Buffer.from('{"files":[{"path":"'), Buffer.alloc(80 * 1024 * 1024, 0x61)]));
    await expect(decode(zeros)).rejects.toMatchObject({ code: 'manifest_invalid' });
  });

  test('any damage to a good one is found or harmless, and never anything but manifest_invalid', async () => {
    const text = golden.toString('utf8');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(text.length - 1),
        fc.integer({ min: 0, max: 20 }),
        fc.string({ maxLength: 8 }),
        async (at, cut, insert) => {
          const damaged = text.slice(0, at) + insert + text.slice(at + cut);
          const outcome = await decode(gzipSync(damaged)).catch((error: unknown) => error);
          if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'manifest_invalid' });
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a field named __proto__ changes no prototype and is kept', async () => {
    const text = JSON.stringify(seedManifest()).replace('"path":"a"', '"path":"a","__proto__":{"size":1}');
    const { files: decoded } = await decode(gzipSync(text));
    expect(decoded[0]!.sizeBytes).toBe(9);
    expect(Object.keys(decoded[0]!.extra!)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['size']).toBeUndefined();
  });
});

describe('tolerance', () => {
  test.each<[string, unknown]>([
    ['an unsorted page table', files({ page_table: [page(4, 5, 1), page(0, 4, 0)] })],
    ['an empty file with one empty page', files({ size: 0, page_table: [page(0, 0)] })],
    ['no checksums', files({ hash: null, page_table: [{ page_id: 0, off: 0, len: 9 }] })],
    ['unknown members', seedManifest({ x: { y: [1, 2, 3] }, z: null })],
    ['no parents and no tombstones', seedManifest({ parents: undefined, tombstones: null })],
    ['pages of any size', files({ page_table: [page(0, 1), page(1, 7), page(8, 1)] })],
  ])('%s decodes', async (_name, value) => {
    const { files: decoded } = await decode(packJson(value));
    expect(decoded).toHaveLength(1);
    let covered = 0;
    for (const { off, len } of decoded[0]!.pages) {
      expect(off).toBe(covered);
      covered += len;
    }
    expect(covered).toBe(decoded[0]!.sizeBytes);
  });

  test('white space anywhere', async () => {
    const { files: decoded } = await decode(gzipSync(JSON.stringify(JSON.parse(golden.toString('utf8')), null, 4)));
    expect(decoded).toEqual((await decode(gzipSync(golden))).files);
  });
});

describe('the fuzz target, of which soak runs more,', () => {
  const sampled = fc.sample(anyEntries(12), { seed: 5, numRuns: 40 }).flat();
  const entries = [...new Map(sampled.map((entry) => [entry.path, entry])).values()].sort((a, b) =>
    compareKeys(a.path, b.path),
  );

  test.each([1, 2, 3])(
    'refuses damaged and forged manifests and indexes, or reads them right: seed %d',
    async (seed) => {
      await loadCrc32c();
      const part = entries.slice(0, 8 * seed);
      const report = await fuzzCodec({ seed, entries: part, goOn: (cases) => cases < 1000 });
      expect(report.refused).toBeGreaterThan(500);
      expect(report.accepted).toBeGreaterThan(20);
      // Kibibytes. No case may make a decoder hold more than it was given, by orders of magnitude.
      expect(process.resourceUsage().maxRSS).toBeLessThan(1024 * 1024);
    },
  );
});
