// A process that reads an origin of origin.js once, cold, in shuffled order, through the library or with a bare undici loop
// over the same ranges, and prints as JSON how long that took. node cold-reader.js '{"config", "cache", "endpoint", "key",
// "path", "fileBytes", "bytes", "reads", "inFlight", "by": "seekfs" | "undici", "firstByte": boolean}'
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Pool } from 'undici';
import { tuneForShortRun } from '../../dist/cli/short-run.js';
import { loadConfig, openSeekfs } from '../../dist/lib/index.js';
import { seededRandom } from './data.js';

const { config, cache, endpoint, key, path, fileBytes, bytes, reads, inFlight, by, firstByte } = JSON.parse(
  process.argv[2],
);

// V8 as `seekfs cat` and `seekfs readv` set it, for the bare loop too, which is a little faster by it.
tuneForShortRun();

/** Every range of the file, shuffled. */
function shuffledOffsets() {
  const random = seededRandom(1);
  const offs = Array.from({ length: fileBytes / bytes }, (_, index) => index * bytes);
  for (let at = offs.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [offs[at], offs[other]] = [offs[other], offs[at]];
  }
  return offs;
}

/** What it takes to read the ranges: all together, or one after the other up to their first byte each. */
async function openLibrary() {
  const loaded = await loadConfig({
    configFile: config,
    flags: new Map([
      ['cache.l2.segment_path', { flag: '--cache', text: cache }],
      ['store.url', { flag: '--store', text: 's3://bucket' }],
    ]),
    env: {},
    workingDirectory: '/',
    homeDirectory: cache,
    readFile: (file) => readFileSync(file, 'utf8'),
    usableMemoryBytes: 4 * 2 ** 30,
    diskTotalBytes: () => undefined,
    oneShot: false,
  });
  const seekfs = openSeekfs(loaded);
  const version = await seekfs.pin('dev', { kind: 'head' });
  const entry = await version.lookup(path);
  const reader = await seekfs.reader();
  return {
    readAll: async (offs) => {
      let received = 0;
      for await (const slab of reader.readv(
        version,
        offs.map((off) => ({ path, off, len: bytes })),
      )) {
        received += slab.bytes.length;
        slab.release();
      }
      return received;
    },
    firstByteMs: async (off) => {
      const startMs = performance.now();
      let elapsedMs;
      for await (const slab of reader.stream(version, entry, { off, len: bytes })) {
        elapsedMs ??= performance.now() - startMs;
        slab.release();
      }
      return elapsedMs;
    },
    close: () => seekfs.close(),
  };
}

function openBare() {
  const pool = new Pool(endpoint, { connections: inFlight });
  const get = async (off, onFirst) => {
    const headers = { range: `bytes=${off}-${off + bytes - 1}` };
    const { body } = await pool.request({ path: `/bucket/${key}`, method: 'GET', headers });
    let received = 0;
    for await (const chunk of body) {
      if (received === 0) onFirst?.();
      received += chunk.length;
    }
    return received;
  };
  return {
    readAll: async (offs) => {
      let [next, received] = [0, 0];
      const worker = async () => {
        while (next < offs.length) {
          const got = await get(offs[next++]);
          received += got;
        }
      };
      await Promise.all(Array.from({ length: inFlight }, worker));
      return received;
    },
    firstByteMs: async (off) => {
      const startMs = performance.now();
      let elapsedMs;
      await get(off, () => (elapsedMs = performance.now() - startMs));
      return elapsedMs;
    },
    close: () => pool.destroy(),
  };
}

const client = by === 'seekfs' ? await openLibrary() : openBare();
// Code that was never run, and connections that are not open, are not what is measured.
const offs = shuffledOffsets();
await client.readAll(offs.slice(0, inFlight));
const measured = offs.slice(inFlight, inFlight + reads);
if (firstByte) {
  const latenciesMs = [];
  for (const off of measured) latenciesMs.push(await client.firstByteMs(off));
  console.log(JSON.stringify({ latenciesMs }));
} else {
  const startMs = performance.now();
  const received = await client.readAll(measured);
  const elapsedMs = performance.now() - startMs;
  if (received !== measured.length * bytes) throw new Error(`${received} bytes came`);
  console.log(JSON.stringify({ elapsedMs, mibPerSecond: received / 2 ** 20 / (elapsedMs / 1000) }));
}
await client.close();
process.exit(0);
