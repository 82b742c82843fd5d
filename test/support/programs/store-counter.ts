// A process of its own for test/lib/objectstore/directory.test.ts: adds one to the number in an object, TIMES times, by
// compare and swap, and creates as many of the keys `once/0…TIMES-1` as nobody else did; prints how many those were.
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { DirectoryObjectStore } from '../../../src/lib/objectstore/directory.ts';

const [rootPath = '', times = '0'] = process.argv.slice(2);
const store = new DirectoryObjectStore({ rootPath });

async function put(
  key: string,
  text: string,
  condition: { kind: 'absent' } | { kind: 'match'; etag: string },
): Promise<boolean> {
  try {
    await store.put({ key, source: { kind: 'bytes', bytes: Buffer.from(text) }, condition, durable: false });
    return true;
  } catch (error) {
    if (error instanceof SeekfsError && error.code === 'precondition_failed') return false;
    throw error;
  }
}

let created = 0;
for (let turn = 0; turn < Number(times); turn += 1) {
  for (;;) {
    const { bytes, etag } = await store.getWhole({ key: 'number', sizeBytesMax: 99, purpose: 'meta' });
    if (await put('number', String(Number(bytes.toString()) + 1), { kind: 'match', etag })) break;
  }
  if (await put(`once/${turn}`, String(process.pid), { kind: 'absent' })) created += 1;
}
process.stdout.write(String(created));
