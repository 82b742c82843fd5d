// What the configured store charges for GETs, for the commands that tell costs.
import type { Config } from '../lib/config/config.ts';

/** Undefined: not known. */
export function pricePer1000Gets({ store }: Config): number | undefined {
  return store.kind === 's3' ? store.s3.pricePer1000Gets : undefined;
}
