// The public face of the library.
export { SeekfsError, type ErrorCode } from './base/errors.ts';
export { loadConfig, type LoadOptions } from './config/load.ts';
export type { Config } from './config/config.ts';
export { openSeekfs, type OpenOptions, type Seekfs } from './open.ts';
