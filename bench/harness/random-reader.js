// A process that reads random ranges, over HTTP from `serve` or from a file, and prints the latencies' quantiles as JSON.
// node random-reader.js '{"url"|"path", "bytes", "clients", "offsets" | "fileBytes", "reads", "seed"}'
import { open } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { seededRandom } from './data.js';
import { quantile } from './statistics.js';

const options = JSON.parse(process.argv[2]);
const { url, path, bytes, clients } = options;
const agent = new Agent({ keepAlive: true, maxSockets: clients });

/** @returns {Promise<number>} bytes received */
function readHttp(off) {
  return new Promise((resolve, reject) => {
    get(`${url}&off=${off}&len=${bytes}`, { agent }, (response) => {
      let received = 0;
      response.on('data', (chunk) => (received += chunk.length));
      response.on('end', () => resolve(response.statusCode === 200 || response.statusCode === 206 ? received : -1));
    }).on('error', reject);
  });
}

const buffers = Array.from({ length: clients }, () => Buffer.alloc(bytes));

/** A training loader opens its file for each sample. */
async function readFile(off, client) {
  const file = await open(path, 'r');
  const { bytesRead } = await file.read(buffers[client], 0, bytes, off);
  await file.close();
  return bytesRead;
}

const latenciesMs = [];

function randomOffsets({ fileBytes, reads, seed }) {
  const random = seededRandom(seed);
  return Array.from({ length: reads }, () => Math.floor(random() * (fileBytes - bytes)));
}

const offsets = options.offsets ?? randomOffsets(options);
const reads = offsets.length;
let next = 0;
const startMs = performance.now();
await Promise.all(
  Array.from({ length: clients }, async (_, client) => {
    while (next < reads) {
      const off = offsets[next++];
      const beganMs = performance.now();
      const received = url ? await readHttp(off) : await readFile(off, client);
      if (received !== bytes) throw new Error(`${received} bytes instead of ${bytes} at ${off}`);
      latenciesMs.push(performance.now() - beganMs);
    }
  }),
);
const elapsedMs = performance.now() - startMs;
agent.destroy();
console.log(
  JSON.stringify({
    p50Ms: quantile(latenciesMs, 0.5),
    p95Ms: quantile(latenciesMs, 0.95),
    p99Ms: quantile(latenciesMs, 0.99),
    readsPerSecond: (reads / elapsedMs) * 1000,
  }),
);
