// Publishing, gc and reading with more deaths and losses than CI has time for.
import { beforeAll, expect, test } from 'vitest';
import { publishingWorld, writeWorldFiles, type ActorName } from '../support/publishing-world.ts';
import { explore, type Bounds } from '../support/state-explorer.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

let directory: string;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-publish');
  await writeWorldFiles(directory);
});

test.each<[readonly ActorName[], Bounds]>([
  [['put k', 'put x', 'gc', 'reader'], { crashesMax: 1, faultsMax: 0 }],
  [['put k', 'put x', 'gc'], { crashesMax: 1, faultsMax: 1 }],
  [['put k', 'put x'], { crashesMax: 2, faultsMax: 3 }],
  [['put k', 'gc', 'reader'], { crashesMax: 3, faultsMax: 2 }],
])('%j with %j lose nothing', async (names, bounds) => {
  const seen = await explore(await publishingWorld(directory, names, bounds), bounds);
  expect(seen.states).toBeGreaterThan(10_000);
});
