import { expect, test } from 'vitest';
import { generate } from '../../../src/lib/manifest/generate.ts';
import { fileKey } from '../../../src/lib/manifest/key-layout.ts';
import { listPins, removePin, setPin } from '../../../src/lib/manifest/pins.ts';
import { listKeys, manifestDeps, putObject } from '../../support/manifest-deps.ts';

test('a pin is set, moved, listed and removed', async () => {
  const deps = manifestDeps();
  for (const content of ['1', '2']) {
    await putObject(deps.store, fileKey('dev', 'a'), content);
    await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 });
  }
  await setPin(deps, { ns: 'dev', name: 'best', version: 1 });
  await setPin(deps, { ns: 'dev', name: 'run 7', version: 1 });
  await setPin(deps, { ns: 'dev', name: 'best', version: 2 });
  expect(await listPins(deps, 'dev')).toEqual([
    { name: 'best', version: 2 },
    { name: 'run 7', version: 1 },
  ]);
  await removePin(deps, { ns: 'dev', name: 'best' });
  expect(await listPins(deps, 'dev')).toEqual([{ name: 'run 7', version: 1 }]);
  await expect(removePin(deps, { ns: 'dev', name: 'best' })).rejects.toMatchObject({ code: 'object_not_found' });
  expect(await listKeys(deps.store, 'namespaces/dev/intents/')).toEqual([]);
});

test('a version that is not there cannot be pinned, and a pin has a name of one component', async () => {
  const deps = manifestDeps();
  await expect(setPin(deps, { ns: 'dev', name: 'x', version: 1 })).rejects.toMatchObject({ code: 'version_not_found' });
  await expect(setPin(deps, { ns: 'dev', name: 'a/b', version: 1 })).rejects.toMatchObject({ code: 'usage' });
  expect(await listKeys(deps.store, '')).toEqual([]);
});
