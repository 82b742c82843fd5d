import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import { startServer } from '../../../src/lib/blobapi/server.ts';
import { memoryData } from '../../support/memory-data.ts';

test('a client that goes leaves nothing of the requests that waited behind the first of its pipeline', async () => {
  const data = memoryData({ dev: [{ big: Buffer.alloc(16 * MIB), small: Buffer.alloc(1000) }] });
  const server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
  const small = 'GET /blob?ns=dev&path=small HTTP/1.1\r\nHost: x\r\n\r\n';
  let count = 0;
  const allRead = new Promise<void>((resolve) => {
    data.memoryReader.onSlab = (path) => {
      if (path === 'small') count += 1;
      if (count === 20) resolve();
    };
  });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1').pause();
  socket.write(small.replace('small', 'big') + small.repeat(20));
  await allRead;
  socket.destroy();
  // Within the time that answers get, not by breaking them off.
  await server.close({ drainMsMax: 60_000 });
  expect([data.memory.inUseBytes, data.memoryReader.open]).toEqual([0, 0]);
  expect(data.metrics.get('seekfs_http_aborted_total', { by: 'client' })).toBe(21);
});
