// A process that reads a file of an S3 server in parts with undici and drops the bytes: what Node's fastest client takes when
// nothing is verified, kept or passed on. node bare-undici.js '{"url" (presigned), "bytes", "partBytes", "inFlight"}'
import { Pool } from 'undici';

const { url, bytes, partBytes, inFlight } = JSON.parse(process.argv[2]);
const { origin, pathname, search } = new URL(url);
const pool = new Pool(origin, { connections: inFlight });
let [next, received] = [0, 0];

async function readParts() {
  while (next < bytes) {
    const begin = next;
    next += partBytes;
    const headers = { range: `bytes=${begin}-${Math.min(next, bytes) - 1}` };
    const { statusCode, body } = await pool.request({ path: pathname + search, method: 'GET', headers });
    if (statusCode !== 206) throw new Error(`status ${statusCode}`);
    body.on('data', (chunk) => (received += chunk.length));
    await new Promise((resolve, reject) => body.on('end', resolve).on('error', reject));
  }
}

await Promise.all(Array.from({ length: inFlight }, readParts));
await pool.close();
if (received !== bytes) throw new Error(`${received} bytes came`);
