import { expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { findFile, pathNotFound } from '../../../src/lib/manifest/find-file.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';

function failing(error: SeekfsError): PinnedVersion {
  const lookup = async (): Promise<never> => {
    throw error;
  };
  return { ns: 'dev', version: 3, lookup } as unknown as PinnedVersion;
}

test('a file that a version does not have is undefined', async () => {
  const version = failing(pathNotFound({ ns: 'dev', version: 3 }, 'a'));
  await expect(version.lookup('a')).rejects.toMatchObject({ details: { ns: 'dev', version: 3, path: 'a' } });
  expect(await findFile(version, 'a')).toBeUndefined();
});

test('that it cannot be told is an error', async () => {
  const version = failing(new SeekfsError('store_unavailable', 'no'));
  await expect(findFile(version, 'a')).rejects.toMatchObject({ code: 'store_unavailable' });
});
