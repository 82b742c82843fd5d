// A process of its own for test/lib/disk/lock-file.test.ts. `count FILE DIRECTORY TIMES`: adds one to the number in FILE,
// TIMES times, each under the lock, in a way that loses additions without it. `hold DIRECTORY`: takes the lock, says so, stays.
import { readFile, writeFile } from 'node:fs/promises';
import { LockFile } from '../../../src/lib/disk/lock-file.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';

const [verb, ...operands] = process.argv.slice(2);

async function count(file: string, directory: string, times: number): Promise<void> {
  const lock = new LockFile({ disk: nodeDisk, directory });
  for (let turn = 0; turn < times; turn += 1) {
    const held = await lock.acquire({ waitMsMax: 30_000 });
    const before = Number(await readFile(file, 'utf8'));
    await writeFile(file, String(before + 1));
    await held.release();
  }
}

if (verb === 'count') {
  await count(operands[0]!, operands[1]!, Number(operands[2]));
} else {
  await new LockFile({ disk: nodeDisk, directory: operands[0]! }).acquire({ waitMsMax: 10_000 });
  process.send?.('held');
  setInterval(() => undefined, 60_000);
}
