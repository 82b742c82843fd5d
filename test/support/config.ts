// The configuration as it is loaded on a machine with nothing on it: no file but the one given, no environment.
import { GIB } from '../../src/lib/base/units.ts';
import type { Config } from '../../src/lib/config/config.ts';
import { loadConfig, type LoadOptions } from '../../src/lib/config/load.ts';

/** `toml`: the text of ./seekfs.toml. */
export function loadOptions(toml?: string, more: Partial<LoadOptions> = {}): LoadOptions {
  return {
    env: {},
    workingDirectory: '/here',
    homeDirectory: '/home/ann',
    readFile: (path) => (path === 'seekfs.toml' ? toml : undefined),
    usableMemoryBytes: 64 * GIB,
    diskTotalBytes: () => 100 * GIB,
    ...more,
  };
}

export function testConfig(toml?: string, more: Partial<LoadOptions> = {}): Promise<Config> {
  return loadConfig(loadOptions(toml, more));
}
