// Starts random-reader.js as a process of its own and gives what it measured.
import { fileURLToPath } from 'node:url';
import { quote, run } from './process.js';

const READER = fileURLToPath(new URL('random-reader.js', import.meta.url));

/**
 * @param {object} options of random-reader.js
 * @returns {Promise<{ p50Ms: number, p95Ms: number, p99Ms: number, readsPerSecond: number }>}
 */
export async function readAtRandom(options) {
  const env = { ...process.env, UV_THREADPOOL_SIZE: '16' };
  const line = `${quote(process.execPath)} ${quote(READER)} ${quote(JSON.stringify(options))}`;
  return JSON.parse((await run(line, { env })).stdout);
}
