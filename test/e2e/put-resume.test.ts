// SIGKILL in the middle of a large upload: the same put again sends the parts that are missing, and no other.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { Cli } from '../support/cli.ts';
import { FaultyS3, type LoggedRequest } from '../support/faulty-s3.ts';

const PARTS = 8;
const SIZE_BYTES = PARTS * 16 * MIB;
const ANSWERED = 3;
/** That the client has under way at once. */
const AT_ONCE = 4;

test('a put that was killed after three parts sends the other five, and gives the same object', async () => {
  const server = await new FaultyS3().listen();
  try {
    const cli = await Cli.create({
      AWS_ENDPOINT_URL: server.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
      SEEKFS_STORE: 's3://bucket',
    });
    const bytes = Buffer.alloc(SIZE_BYTES, seededRandom(5).bytes(99_991));
    await writeFile(join(cli.work, 'big.bin'), bytes);
    const asked = new Set<unknown>();
    // A worker asks for its next part when the journal has the last one: once so many were asked for, it has three.
    const allAsked = new Promise<void>((resolve) => {
      const where = (request: LoggedRequest): boolean => {
        if (request.operation !== 'PART') return false;
        // Each fault that is left looks at each request.
        asked.add(request);
        if (asked.size === ANSWERED + AT_ONCE) resolve();
        return asked.size > ANSWERED;
      };
      server.fail({ kind: 'slow first byte' }, { where, times: PARTS });
    });
    const child = cli.spawn(['put', 'dev', 'big.bin']);
    const closed = once(child, 'close');
    await Promise.race([allAsked, closed]);
    child.kill('SIGKILL');
    expect((await closed)[1]).toBe('SIGKILL');
    server.forgetFaults();
    expect(server.objects.openUploads).toBe(1);

    server.log.length = 0;
    const report = (await cli.json(['put', 'dev', 'big.bin'])) as { uploaded_bytes: number };
    expect(report.uploaded_bytes).toBe(SIZE_BYTES);
    expect({ parts: server.count('PART'), begun: server.count('CREATE'), left: server.objects.openUploads }).toEqual({
      parts: PARTS - ANSWERED,
      begun: 0,
      left: 0,
    });
    const key = server.log.find(({ operation }) => operation === 'COMPLETE')!.key;
    expect(server.objects.get(key)!.equals(bytes)).toBe(true);
  } finally {
    await server.close();
  }
});
