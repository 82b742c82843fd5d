// A process that opens a cache and reads 4 KiB of one page, verified; prints as JSON how long that took and what memory it
// takes. node open-reader.js '{"directory", "path", "pageId", "pageBytes", "crc"}'
import { openStore, pageOf } from './segments.js';

const { directory, path, pageId, pageBytes, crc } = JSON.parse(process.argv[2]);
globalThis.gc?.();
const rssBefore = process.memoryUsage().rss;
const startMs = performance.now();
const { store } = await openStore(directory, { memoryBytes: 2 ** 24 });
const slabs = await store.read(pageOf(path, pageId, pageBytes, crc), { off: 8192, len: 4096 }, {});
const elapsedMs = performance.now() - startMs;
if (!slabs) throw new Error('the page is not in the cache');
globalThis.gc?.();
console.log(JSON.stringify({ elapsedMs, bytes: process.memoryUsage().rss - rssBefore }));
process.exit(0);
