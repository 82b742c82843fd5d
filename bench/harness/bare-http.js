// A server that answers ranges of one file from memory with node:http and does nothing else: what Node's own server can do.
// node bare-http.js FILE PORT
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [file, port] = process.argv.slice(2);
const bytes = readFileSync(file);

createServer((request, response) => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range);
  const body = bytes.subarray(Number(first), Number(last) + 1);
  response.writeHead(206, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': body.length,
    'Content-Range': `bytes ${first}-${last}/${bytes.length}`,
  });
  response.end(body);
}).listen(Number(port), '127.0.0.1');
