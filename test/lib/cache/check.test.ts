import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { checkSegmentStore, type CheckReport } from '../../../src/lib/cache/check.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { openTestStore, testPage, type TestPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const pages: TestPage[] = [0, 1, 2].map((pageId) => testPage({ pageId, len: 60 + pageId }));
let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

async function fill(close = true): Promise<() => Promise<void>> {
  const l2 = await openTestStore(directory);
  for (const page of pages) await l2.put(page);
  if (close) await l2.store.close();
  return () => l2.store.close();
}

function check(deep = true): Promise<CheckReport> {
  return checkSegmentStore({ disk: nodeDisk, directoryPath: directory, deep });
}

function segmentPath(): string {
  return join(directory, 'segments', readdirSync(join(directory, 'segments'))[0]!);
}

async function heldPages(): Promise<number[]> {
  const l2 = await openTestStore(directory);
  const held = [];
  for (const page of pages) if (await l2.get(page)) held.push(page.page.pageId);
  await l2.store.close();
  return held;
}

describe('check', () => {
  test('finds nothing in a cache that does not exist, is in use, or is whole', async () => {
    expect((await check()).findings).toEqual([]);
    const close = await fill(false);
    expect(await check()).toMatchObject({ findings: [], segments: 1, records: 3 });
    await close();
    const report = await check();
    expect(report).toMatchObject({ findings: [], segments: 1, records: 3, payloadBytes: 183, checkedBytes: 183 });
    expect((await check(false)).checkedBytes).toBe(0);
  });

  test('finds every flipped byte of a segment, the fast one all but those of payloads', async () => {
    await fill();
    const path = segmentPath();
    const bytes = readFileSync(path);
    const kinds = new Map<string, number>();
    for (let at = 0; at < bytes.length; at += 1) {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 0x40;
      writeFileSync(path, copy);
      const deep = (await check()).findings;
      expect(deep.length, `flip at ${at}`).toBeGreaterThan(0);
      expect(deep.every(({ severity }) => severity === 'problem')).toBe(true);
      const [{ kind }] = deep as [(typeof deep)[0]];
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      expect((await check(false)).findings.length > 0, `flip at ${at}`).toBe(kind !== 'record_payload');
    }
    expect([...kinds.keys()].sort()).toEqual(['footer', 'record_head', 'record_payload', 'segment_header']);
    expect(kinds.get('record_payload')).toBe(183);
    writeFileSync(path, bytes);
    expect((await check()).findings).toEqual([]);
  });

  test('says which page is lost', async () => {
    await fill();
    const bytes = readFileSync(segmentPath());
    bytes[bytes.indexOf(pages[1]!.bytes) + 17]! ^= 1;
    writeFileSync(segmentPath(), bytes);
    const { findings } = await check();
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      kind: 'record_payload',
      page: { ns: 'dev', path: 'a.bin', identity: 'sha256:a.bin', pageId: 1 },
    });
  });

  test('takes a torn tail and foreign files for what they are', async () => {
    await fill();
    const bytes = readFileSync(segmentPath());
    const cut = bytes.indexOf(pages[2]!.bytes) + 10;
    truncateSync(segmentPath(), cut);
    writeFileSync(join(directory, 'segments', 'notes.txt'), 'mine');
    const { findings } = await check();
    expect(findings.map(({ kind, severity }) => `${kind} ${severity}`).sort()).toEqual([
      'foreign_file note',
      'torn_tail note',
    ]);
    expect(await heldPages()).toEqual([0, 1]);
  });

  test('finds a damaged sidecar', async () => {
    await fill();
    const l2 = await openTestStore(directory);
    await l2.store.maintenance.clean();
    await l2.store.close();
    expect((await check()).findings).toEqual([]);
    appendFileSync(join(directory, 'index.bin'), 'x');
    expect((await check()).findings.map(({ kind }) => kind)).toEqual(['index']);
  });

  test.each(['index.bin', 'index.sqlite', 'cache.json'])('finds a directory in place of %s', async (name) => {
    await fill();
    rmSync(join(directory, name), { force: true });
    mkdirSync(join(directory, name));
    const { findings, records } = await check();
    expect(findings.map(({ kind, severity, file, detail }) => [kind, severity, file, detail])).toEqual([
      ['misplaced', 'problem', name, 'a directory where a file of the cache belongs; move it away'],
    ]);
    expect(records).toBe(3);
  });

  test.each(['segments', 'lock', 'readers', 'claims'])('finds a file in place of %s', async (name) => {
    await fill();
    rmSync(join(directory, name), { recursive: true, force: true });
    writeFileSync(join(directory, name), 'mine');
    const { findings } = await check();
    expect(findings.map(({ kind, file, detail }) => [kind, file, detail])).toEqual([
      ['misplaced', name, 'a file where a directory of the cache belongs; move it away'],
    ]);
  });

  test('lets links lead to another disk', async () => {
    await fill();
    renameSync(join(directory, 'segments'), join(directory, 'elsewhere'));
    symlinkSync('elsewhere', join(directory, 'segments'));
    expect(await check()).toMatchObject({ findings: [], records: 3 });
  });
});

describe('repair', () => {
  test.each([
    ['a payload', (bytes: Buffer): number => bytes.indexOf(pages[1]!.bytes), [0, 2]],
    ['the head of a record', (bytes: Buffer): number => bytes.indexOf(pages[1]!.bytes) - 1, [0, 2]],
    ['the footer', (bytes: Buffer): number => bytes.length - 40, [0, 1, 2]],
    ['the segment header', (): number => 20, [0, 1, 2]],
  ])('mends damage of %s and loses only what was hit', async (_, where, kept) => {
    await fill();
    const bytes = readFileSync(segmentPath());
    bytes[where(bytes)]! ^= 0x20;
    writeFileSync(segmentPath(), bytes);
    const before = await check();
    expect(before.findings).toHaveLength(1);
    const l2 = await openTestStore(directory);
    await l2.store.maintenance.repair(before.findings);
    await l2.store.close();
    expect((await check()).findings).toEqual([]);
    expect(await heldPages()).toEqual(kept);
    // And what was lost is simply fetched and written again.
    const again = await openTestStore(directory);
    for (const page of pages) await again.put(page);
    await again.store.close();
    expect(await heldPages()).toEqual([0, 1, 2]);
  });

  test('of a damaged sidecar writes it anew', async () => {
    await fill();
    writeFileSync(join(directory, 'index.bin'), 'no index');
    const { findings } = await check();
    const l2 = await openTestStore(directory);
    await l2.store.maintenance.repair(findings);
    await l2.store.close();
    expect((await check()).findings).toEqual([]);
    expect(await heldPages()).toEqual([0, 1, 2]);
  });
});
