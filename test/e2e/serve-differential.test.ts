// Random requests over two workers against a reference that reads the source files: status and bytes agree, always.
import { createHash } from 'node:crypto';
import { writeFile, mkdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom, type Random } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { decodeFrameHead, FRAME_HEAD_BYTES, FRAMES_CONTENT_TYPE } from '../../src/lib/blobapi/frames.ts';
import { ask, type Answer } from '../support/http.ts';
import { askedSeed } from '../support/seed.ts';
import { seekfs, startServe, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** Each round is a test with a time limit of its own: a slow machine needs longer for all, and must not fail for it. */
const ROUNDS = 20;
const REQUESTS_A_ROUND = 1000;
const CLIENTS = 16;
const SEED = askedSeed('random');

/** By version from 1, the files by path. */
const versions: Record<string, Buffer>[] = [];
let directory: string;
let serve: ServeProcess;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-differential');
  const random = seededRandom(SEED);
  const source = join(directory, 'src');
  await mkdir(source);
  for (const version of [1, 2]) {
    const files: Record<string, Buffer> = {
      'big.bin': Buffer.from(random.bytes(700 * KIB + version)),
      'granule.bin': Buffer.from(random.bytes(128 * KIB)),
      'small +&%.txt': Buffer.from(`version ${version}`),
      empty: Buffer.alloc(0),
    };
    if (version === 1) files['gone.bin'] = Buffer.from('not in the third');
    for (const [path, bytes] of Object.entries(files)) await writeFile(join(source, path), bytes);
    versions.push({ ...versions[0], ...files });
    await seekfs(directory, 'put', 'dev', 'src/', '--page-size', '256KiB');
  }
  await seekfs(directory, 'rm', 'dev', 'gone.bin');
  const { 'gone.bin': _, ...rest } = versions[1]!;
  versions.push(rest);
  serve = await startServe(directory, '--workers', '2');
});

afterAll(async () => {
  await serve?.stop();
});

interface Case {
  readonly target: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly status: number;
  /** Undefined: an error's JSON, or no body. */
  readonly bytes?: Buffer;
}

const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random.unit() * items.length)]!;

/** Offsets around every edge there is, and anywhere. */
function offset(random: Random, sizeBytes: number): number {
  const edge = pick(random, [0, 16 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, sizeBytes]);
  if (random.unit() < 0.5) return Math.max(0, edge + Math.floor(random.unit() * 5) - 2);
  return Math.floor(random.unit() * (sizeBytes + 10));
}

const length = (random: Random): number =>
  Math.floor(random.unit() * pick(random, [2, 100, 5 * KIB, 40 * KIB, 300 * KIB]));

/** The status and the bytes that a range of a file must give. */
function rangeOf(bytes: Buffer | undefined, off: number, len?: number): { status: number; bytes?: Buffer } {
  if (!bytes) return { status: 404 };
  if (off >= bytes.length && bytes.length > 0) return { status: 416 };
  return { status: 200, bytes: bytes.subarray(off, len === undefined ? undefined : off + len) };
}

const BAD: readonly Case[] = [
  { target: '/blob?ns=dev&path=big.bin&off=-1', status: 400 },
  { target: '/blob?ns=dev&path=big.bin&len=1.5', status: 400 },
  { target: '/blob?ns=dev&path=big.bin&off=1&off=1', status: 400 },
  { target: '/blob?ns=dev', status: 400 },
  { target: '/blob?ns=none&path=big.bin', status: 404 },
  { target: '/blob?ns=dev&path=big.bin&version=4', status: 404 },
  { target: `/blob?ns=dev&path=big.bin&hash=${'0'.repeat(64)}`, status: 409 },
  { target: '/blob?ns=dev&path=big.bin', headers: { 'if-match': '"x"' }, status: 412 },
  { target: '/readv?ns=dev', method: 'POST', body: '{}', status: 400 },
];

function makeCase(random: Random): Case {
  const version = pick(random, [undefined, 1, 2, 3]);
  const files = versions[(version ?? 3) - 1]!;
  const versionQuery = version === undefined ? '' : `&version=${version}`;
  const path = pick(random, [...Object.keys(versions[0]!), 'big.bin', 'big.bin', 'nowhere']);
  const bytes = files[path];
  const base = `/blob?ns=dev&path=${encodeURIComponent(path)}${versionQuery}`;
  const off = offset(random, bytes?.length ?? 100);
  const len = random.unit() < 0.1 ? undefined : length(random);
  switch (pick(random, ['blob', 'blob', 'blob', 'head', 'range', 'etag', 'readv', 'frames', 'bad'])) {
    case 'head': {
      const { status } = rangeOf(bytes, off, len);
      return { target: `${base}&off=${off}${len === undefined ? '' : `&len=${len}`}`, method: 'HEAD', status };
    }
    case 'range': {
      const last = off + (len ?? 10) - 1;
      const expected = rangeOf(bytes, off, len ?? 10);
      const headers = { range: `bytes=${off}-${last}` };
      // Without bytes, or an end before the start, a Range means nothing.
      if (bytes && (bytes.length === 0 || last < off)) return { target: base, headers, status: 200, bytes };
      return { target: base, headers, ...expected, status: expected.status === 200 ? 206 : expected.status };
    }
    case 'etag': {
      if (!bytes) return { target: base, status: 404 };
      const etag = `"sha256:${createHash('sha256').update(bytes).digest('hex')}"`;
      return { target: base, headers: { 'if-none-match': etag }, status: 304 };
    }
    case 'readv': {
      const extents = Array.from({ length: 1 + Math.floor(random.unit() * 8) }, () => {
        const name = random.unit() < 0.02 ? 'nowhere' : pick(random, Object.keys(files));
        return {
          path: name,
          off: random.unit() < 0.95 ? 0 : offset(random, files[name]?.length ?? 9),
          len: length(random),
        };
      });
      const parts = extents.map((extent) => rangeOf(files[extent.path], extent.off, extent.len));
      const bad = parts.find(({ status }) => status !== 200);
      const body = JSON.stringify(extents);
      const expected = bad ?? { status: 200, bytes: Buffer.concat(parts.map((part) => part.bytes!)) };
      return { target: `/readv?ns=dev${versionQuery}`, method: 'POST', body, ...expected };
    }
    case 'frames': {
      const extents = Array.from({ length: 1 + Math.floor(random.unit() * 8) }, () => {
        const name = random.unit() < 0.2 ? 'nowhere' : pick(random, Object.keys(files));
        return { path: name, off: offset(random, files[name]?.length ?? 9), len: length(random) };
      });
      const parts = extents.map((extent) => rangeOf(files[extent.path], extent.off, extent.len));
      const text = parts
        .map(({ status, bytes: part }) => `${status} ${part?.toString('base64') ?? 'error'}`)
        .join('\n');
      return {
        target: `/readv?ns=dev${versionQuery}`,
        method: 'POST',
        headers: { accept: FRAMES_CONTENT_TYPE },
        body: JSON.stringify(extents),
        status: 200,
        bytes: Buffer.from(text),
      };
    }
    case 'bad':
      return pick(random, BAD);
    default:
      return { target: `${base}&off=${off}${len === undefined ? '' : `&len=${len}`}`, ...rangeOf(bytes, off, len) };
  }
}

/** Frames in the form in which `makeCase` writes them. */
function framesText(body: Buffer): Buffer {
  const lines: string[] = [];
  for (let at = 0; at < body.length;) {
    const { index, status, lengthBytes } = decodeFrameHead(body.subarray(at, at + FRAME_HEAD_BYTES));
    const bytes = body.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + lengthBytes);
    if (index !== lines.length) lines.push(`index ${index}`);
    lines.push(`${status} ${status === 200 ? bytes.toString('base64') : 'error'}`);
    at += FRAME_HEAD_BYTES + lengthBytes;
  }
  return Buffer.from(lines.join('\n'));
}

function differs(request: Case, answer: Answer): string | undefined {
  if (answer.status !== request.status) return `status ${answer.status}, ${request.status} expected`;
  if (request.method === 'HEAD' || request.status === 304) return answer.body.length === 0 ? undefined : 'a body';
  if (!request.bytes) return answer.body.includes('"error"') ? undefined : 'no error';
  const actual = answer.headers['content-type'] === FRAMES_CONTENT_TYPE ? framesText(answer.body) : answer.body;
  return actual.equals(request.bytes) ? undefined : `${actual.length} bytes that differ`;
}

const statuses = new Map<number, number>();

test.each(Array.from({ length: ROUNDS }, (_, index) => index + 1))(
  `${REQUESTS_A_ROUND} random requests give the status and the bytes of the source (seed ${SEED}, round %i)`,
  async (round) => {
    const random = seededRandom(SEED + round);
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    const differences: string[] = [];
    let started = 0;
    const client = async (): Promise<void> => {
      while (started < REQUESTS_A_ROUND && differences.length === 0) {
        started += 1;
        const request = makeCase(random);
        const answer = await ask(serve.url + request.target, { ...request, agent });
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const difference = differs(request, answer);
        if (difference) differences.push(`${difference}: ${JSON.stringify({ ...request, bytes: undefined })}`);
      }
    };
    try {
      await Promise.all(Array.from({ length: CLIENTS }, client));
    } finally {
      agent.destroy();
    }
    expect(differences).toEqual([]);
  },
);

test('each kind of answer was among them, not only errors', () => {
  for (const status of [200, 206, 304, 400, 404, 409, 412, 416]) expect(statuses.get(status)).toBeGreaterThan(50);
});
