// Command sequences of fast-check against the model of store-model.ts: two processes, kills, power losses and damage.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Clean,
  Damage,
  Kill,
  Machine,
  MODEL_PAGES,
  newReference,
  PowerLoss,
  Put,
  ReadThrough,
  Reopen,
  Sync,
} from '../support/store-model.ts';

const process = fc.constantFrom<0 | 1>(0, 1);
const page = fc.nat({ max: MODEL_PAGES.length - 1 });
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const commands = fc.commands(
  [
    fc.tuple(process, page, share, share).map((at) => new ReadThrough(...at)),
    fc.tuple(process, page, share, share).map((at) => new ReadThrough(...at)),
    fc.tuple(process, page, fc.nat({ max: 2 }), fc.integer({ min: 1, max: 3 })).map((at) => new Put(...at)),
    fc.tuple(process, fc.constantFrom(undefined, undefined, 'a', 'b')).map((at) => new Clean(...at)),
    process.map((number) => new Reopen(number)),
    fc.tuple(process, fc.nat({ max: 40 }), page, fc.boolean()).map((at) => new Kill(...at)),
    fc.constant(new Sync()),
    fc.nat({ max: 1_000_000 }).map((seed) => new PowerLoss(seed)),
    fc.tuple(share, fc.integer({ min: 1, max: 255 })).map((at) => new Damage(...at)),
  ],
  { maxCommands: 40, size: '+1' },
);

test('a segmentstore behaves like a map that may forget only what it is allowed to', async () => {
  const seen = { hits: 0, kills: 0, damages: 0 };
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const machine = new Machine();
      await machine.prepare();
      await fc.asyncModelRun(() => ({ model: newReference(), real: machine }), sequence);
      await machine.end();
      seen.hits += machine.hits;
      seen.kills += machine.kills;
      seen.damages += machine.damages;
    }),
    { numRuns: 150 },
  );
  expect(seen.hits).toBeGreaterThan(300);
  expect(seen.kills).toBeGreaterThan(100);
  expect(seen.damages).toBeGreaterThan(50);
});
