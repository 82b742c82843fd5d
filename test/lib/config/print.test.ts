// The printed configuration: every key, where its value came from, no secret, and it loads again.
import { expect, test } from 'vitest';
import { loadConfig, type LoadOptions } from '../../../src/lib/config/load.ts';
import { listConfig, printConfig } from '../../../src/lib/config/print.ts';
import { SETTING_KEYS } from '../../../src/lib/config/schema.ts';
import { loadOptions } from '../../support/config.ts';

const options = (text: string): LoadOptions => loadOptions(text, { env: { SEEKFS_CACHE: '/c "q"' } });

test('every key stands in it with its origin, and secrets do not', async () => {
  const config = await loadConfig(
    options('[s3]\naccess_key_id = "a"\nsecret_access_key = "hunter2"\n[cache]\nl2_ssd_gib = "1.5GiB"'),
  );
  const text = printConfig(config.settings);
  for (const key of SETTING_KEYS)
    expect(text).toMatch(new RegExp(`^(# )?${key.slice(key.lastIndexOf('.') + 1)}( =|:)`, 'm'));
  expect(text).not.toContain('hunter2');
  expect(text).toContain('l2_ssd_gib = 1.5 # seekfs.toml:5');
  expect(text).toContain('segment_path = "/c \\"q\\"" # SEEKFS_CACHE');
  expect(text).toContain('max_inflight_gets = 128 # default');
});

test('it loads again', async () => {
  const config = await loadConfig(options('[s3]\nbucket = "b"'));
  const again = await loadConfig(options(printConfig(config.settings)));
  const { settings: _, ...rest } = config;
  expect(again).toMatchObject(rest);
});

test('as a list it has every key, with the value in its unit, or null where nobody set it', async () => {
  const { settings } = await loadConfig(options('[s3]\naccess_key_id = "a"\nsecret_access_key = "hunter2"\n'));
  const list = listConfig(settings);
  expect(list.map(({ key }) => key)).toEqual(SETTING_KEYS);
  expect(list).toContainEqual({ key: 's3.secret_access_key', value: '********', origin: 'seekfs.toml:3' });
  expect(list).toContainEqual({ key: 'cache.page_size_mib', value: 8, origin: 'default' });
  expect(list).toContainEqual({ key: 'cache.l2_ssd_gib', value: null, origin: 'default' });
});
