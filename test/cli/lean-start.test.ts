// Which command lines go the short way. That both ways do the same is tested end to end, over every way in.
import { expect, test } from 'vitest';
import { leanCommand } from '../../src/cli/lean-start.ts';

test.each([
  ['cat dev a.bin'],
  ['cat dev a.bin --off 1MiB --len 4096 --at 3 --stats --json --cache /c --store file:///s --log-level info'],
  ['cat --off=4KiB dev a.bin --require-checksums --config x.toml'],
  ['cat dev -- --help'],
  ['cat dev a.bin --no-progress'],
  ['cat dev a.bin --progress'],
  ['readv dev a.bin:0:1 b.bin:8MiB:1 --at v-3'],
  ['ls dev'],
  ['ls dev images/ -l --json'],
  ['stat dev a.bin --at 3'],
])('%s goes the short way', (line) => {
  expect(leanCommand(line.split(' '))).toBeTypeOf('function');
});

test.each([
  [''],
  ['ls'],
  ['ls dev a b'],
  ['ls dev --off 3'],
  ['ls dev --no-long'],
  ['stat dev'],
  ['stat dev a.bin -l'],
  ['stat dev a.bin --require-checksums'],
  ['cat dev a.bin --long'],
  ['toString'],
  ['cat dev'],
  ['cat dev a.bin more'],
  ['cat dev a.bin --help'],
  ['cat dev a.bin --nope'],
  ['cat dev a.bin --off 1parsec'],
  ['cat dev a.bin --at three'],
  ['cat dev a.bin --log-level loud'],
  ['cat dev a.bin --no-stats'],
  ['cat dev a.bin --no-json'],
  ['cat dev a.bin --no-at'],
  ['cat dev a.bin --via http://127.0.0.1:1'],
  ['readv dev'],
  ['readv dev --file -'],
  ['readv dev a.bin:0'],
  ['readv dev a.bin:0:1 --off 3'],
])('%s is for oclif', (line) => {
  expect(leanCommand(line.split(' ').filter((word) => word !== ''))).toBeUndefined();
});
