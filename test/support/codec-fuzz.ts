// The fuzz target of manifests and compiled indexes: documents damaged and forged from a seed, fed to the decoders, which
// must say `manifest_invalid` (an index: `cache_corrupt`) or give entries that any reader can rely on.
import { gzipSync } from 'node:zlib';
import { loadCrc32c } from '../../src/lib/base/crc32c.ts';
import { isSeekfsError } from '../../src/lib/base/errors.ts';
import { seededRandom, type Random } from '../../src/lib/base/random.ts';
import { ByteWriter } from '../../src/lib/manifest/byte-cursor.ts';
import { decodeManifest, encodeManifestJson, peekIndex } from '../../src/lib/manifest/codec.ts';
import { encodeEntry, parseEntry } from '../../src/lib/manifest/entry-json.ts';
import { IndexWriter } from '../../src/lib/manifest/index-format.ts';
import { encodeRecord } from '../../src/lib/manifest/index-record.ts';
import { IndexVersion, memorySource } from '../../src/lib/manifest/index-version.ts';
import type { FileEntry, ManifestHeader } from '../../src/lib/manifest/types.ts';

export interface FuzzReport {
  readonly cases: number;
  readonly refused: number;
  readonly accepted: number;
}

const NS = 'dev';
const LISTED_MAX = 10_000;

const header: ManifestHeader = {
  version: 3,
  parents: [2],
  tombstones: ['gone'],
  createdAtS: 1_735_689_600,
  publishId: '0011',
  index: { key: 'namespaces/dev/manifests/v-3.0011.idx', digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 9 },
};

/** Values that have broken parsers before. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  '',
  '..',
  '../../etc/passwd',
  '/abs',
  'a//b',
  'nul\0',
  'line\nbreak',
  '\ud800',
  '__proto__',
  'x'.repeat(3000),
  0,
  -0,
  -1,
  0.5,
  1e308,
  2 ** 32,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  [],
  {},
  [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
  { path: 'a', size: 1 },
];

type Container = Record<string, unknown> | unknown[];

class Fuzzer {
  readonly #random: Random;
  readonly #good: readonly FileEntry[];

  constructor(random: Random, good: readonly FileEntry[]) {
    this.#random = random;
    this.#good = good;
  }

  below(bound: number): number {
    return Math.floor(this.#random.unit() * bound);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** Bytes flipped, taken out, put in, doubled, cut. */
  damage(good: Uint8Array): Buffer {
    let bytes = Buffer.from(good);
    for (let count = 1 + this.below(4); count > 0 && bytes.length > 0; count -= 1) {
      const at = this.below(bytes.length);
      const end = Math.min(bytes.length, at + 1 + this.below(40));
      const part = bytes.subarray(at, end);
      const edits = [
        () => Buffer.concat([bytes.subarray(0, at), Buffer.from(this.#random.bytes(part.length)), bytes.subarray(end)]),
        () => Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]),
        () => Buffer.concat([bytes.subarray(0, end), part, bytes.subarray(end)]),
        () => Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + this.below(9), 0xff), bytes.subarray(at)]),
        () => bytes.subarray(0, at),
      ];
      bytes = Buffer.from(this.pick(edits)());
    }
    return bytes;
  }

  /** A document of the right syntax whose structure is not: one value replaced, removed, doubled or renamed. */
  forge(document: string): string {
    const root = JSON.parse(document) as Container;
    let at: Container = root;
    for (;;) {
      const names = Object.keys(at);
      const name = this.pick(names);
      const value = (at as Record<string, unknown>)[name];
      const canDescend = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
      if (canDescend && this.below(4) > 0) {
        at = value as Container;
        continue;
      }
      const place = at as Record<string, unknown>;
      const edits = [
        () => (place[name] = this.pick(HOSTILE)),
        () => delete place[name],
        () => (place[name] = [value, value]),
        () => (place[String(this.pick(HOSTILE)).slice(0, 20)] = value),
        () => (Array.isArray(at) ? at.push(value) : (place[this.pick(names)] = value)),
      ];
      this.pick(edits)();
      return JSON.stringify(root);
    }
  }

  /** An index whose checksums are right and whose records are not. */
  forgeIndex(): Buffer {
    const writer = new IndexWriter(NS);
    const victim = this.below(this.#good.length);
    for (const [index, entry] of this.#good.entries()) {
      const record = new ByteWriter();
      encodeRecord(record, NS, entry);
      const path = Buffer.from(entry.path);
      const forged = index === victim ? this.damage(record.view()) : record.view();
      writer.addRecord(index === victim && this.below(3) === 0 ? this.damage(path) : path, forged, entry.sizeBytes);
    }
    writer.finish(this.below(4) === 0 ? (JSON.parse(this.forge(JSON.stringify(header))) as ManifestHeader) : header);
    return Buffer.concat(writer.takeBytes());
  }
}

/** What every entry that comes out of a decoder must be: one that the strict parser takes, as it is. */
function checkEntry(entry: FileEntry): void {
  const text = encodeEntry(entry);
  if (encodeEntry(parseEntry(JSON.parse(text))) !== text) throw new Error(`an entry is not what it says: ${text}`);
}

async function tryManifest(packed: Uint8Array): Promise<void> {
  await peekIndex(packed);
  await decodeManifest(packed, { onEntry: checkEntry });
}

async function tryIndex(bytes: Buffer, paths: readonly string[]): Promise<void> {
  const version = await IndexVersion.open({ ns: NS, digest: '' }, memorySource(bytes));
  let listed = 0;
  for await (const entry of version.list()) {
    checkEntry(entry);
    if ((listed += 1) > LISTED_MAX) throw new Error('an index lists more than it can hold');
  }
  for (const path of paths) {
    try {
      checkEntry(await version.lookup(path));
    } catch (error) {
      if (!isSeekfsError(error, 'path_not_found')) throw error;
    }
  }
  for (const tombstone of version.header.tombstones) if (typeof tombstone !== 'string') throw new Error('tombstone');
}

/** `entries` in order of their paths. @throws Error with the seed and the case at the first wrong answer */
export async function fuzzCodec(options: {
  readonly seed: number;
  readonly entries: readonly FileEntry[];
  /** Asked before each case. */
  readonly goOn: (cases: number) => boolean;
}): Promise<FuzzReport> {
  await loadCrc32c();
  const { seed, entries } = options;
  const fuzzer = new Fuzzer(seededRandom(seed), entries);
  const chunks: Buffer[] = [];
  for await (const chunk of encodeManifestJson(header, entries)) chunks.push(chunk);
  const json = Buffer.concat(chunks);
  const packed = gzipSync(json);
  const writer = new IndexWriter(NS);
  for (const entry of entries) writer.add(entry);
  writer.finish(header);
  const index = Buffer.concat(writer.takeBytes());
  const paths = entries.map((entry) => entry.path);
  const targets = [
    { code: 'manifest_invalid', run: () => tryManifest(gzipSync(fuzzer.forge(json.toString()))) },
    { code: 'manifest_invalid', run: () => tryManifest(gzipSync(fuzzer.damage(json))) },
    { code: 'manifest_invalid', run: () => tryManifest(fuzzer.damage(packed)) },
    { code: 'cache_corrupt', run: () => tryIndex(fuzzer.damage(index), paths) },
    { code: 'cache_corrupt', run: () => tryIndex(fuzzer.forgeIndex(), paths) },
  ] as const;
  const report = { cases: 0, refused: 0, accepted: 0 };
  for (; options.goOn(report.cases); report.cases += 1) {
    const { code, run } = targets[report.cases % targets.length]!;
    try {
      await run();
      report.accepted += 1;
    } catch (error) {
      if (!isSeekfsError(error, code)) {
        throw new Error(`case ${report.cases} of seed ${seed}: ${String(error)}`, { cause: error });
      }
      report.refused += 1;
    }
  }
  return report;
}
