// A process that reads random ranges, over HTTP from `serve` or from a file, and prints the latencies' quantiles as JSON.
// Each client has a connection of its own, or opens the file for each read, as a loader does for each sample.
// node random-reader.js '{"url"|"path", "bytes", "clients", "offsets" | "fileBytes", "reads", "seed", "warmUps", "keepOpen"}'
import { close, closeSync, open, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { seededRandom } from './data.js';
import { SocketReader } from './socket-reader.js';
import { quantile } from './statistics.js';

const options = JSON.parse(process.argv[2]);
const { url, path, bytes, clients, warmUps = 0, keepOpen = false } = options;
const [openFile, readAt, closeFile] = [open, read, close].map((call) => promisify(call));

/** @returns {{ read: (off: number) => Promise<number> | number, close: () => void }} */
function httpClient() {
  const reader = new SocketReader(url);
  return { read: (off) => reader.read(off, bytes), close: () => reader.close() };
}

function fileClient() {
  const buffer = Buffer.alloc(bytes);
  if (keepOpen) {
    const kept = openSync(path, 'r');
    return { read: (off) => readSync(kept, buffer, 0, bytes, off), close: () => closeSync(kept) };
  }
  const readOnce = async (off) => {
    const file = await openFile(path, 'r');
    const { bytesRead } = await readAt(file, buffer, 0, bytes, off);
    await closeFile(file);
    return bytesRead;
  };
  /** Alone there is nobody to wait for: plain calls, without a thread in between. */
  const readAlone = (off) => {
    const file = openSync(path, 'r');
    const bytesRead = readSync(file, buffer, 0, bytes, off);
    closeSync(file);
    return bytesRead;
  };
  return { read: clients === 1 ? readAlone : readOnce, close: () => undefined };
}

function randomOffsets({ fileBytes, reads, seed }) {
  const random = seededRandom(seed);
  return Array.from({ length: reads + warmUps }, () => Math.floor(random() * (fileBytes - bytes)));
}

const offsets = options.offsets ?? randomOffsets(options);
const latenciesMs = [];
let next = 0;
let startMs = performance.now();

async function readThemAll() {
  const client = url ? httpClient() : fileClient();
  while (next < offsets.length) {
    const turn = next++;
    if (turn === warmUps) startMs = performance.now();
    const beganMs = performance.now();
    const received = await client.read(offsets[turn]);
    if (received !== bytes) throw new Error(`${received} bytes instead of ${bytes} at ${offsets[turn]}`);
    if (turn >= warmUps) latenciesMs.push(performance.now() - beganMs);
  }
  client.close();
}

await Promise.all(Array.from({ length: clients }, readThemAll));
console.log(
  JSON.stringify({
    p50Ms: quantile(latenciesMs, 0.5),
    p95Ms: quantile(latenciesMs, 0.95),
    p99Ms: quantile(latenciesMs, 0.99),
    readsPerSecond: (latenciesMs.length / (performance.now() - startMs)) * 1000,
  }),
);
