// The public face of the library; docs/library.md explains it.
export { SeekfsError, type ErrorCode, type ErrorDetails } from './base/errors.ts';
export type { ByteRange } from './base/byte-range.ts';
export type { Logger, LogLevel } from './base/log.ts';
export type { Slab } from './base/memory.ts';
export { loadConfig, type LoadOptions } from './config/load.ts';
export type { Config } from './config/config.ts';
export type { FileEntry, PinnedVersion, VersionSelector } from './manifest/types.ts';
export { openSeekfs, type OpenOptions, type Seekfs } from './open.ts';
export type { Extent, Reader, ReadOptions } from './read/reader.ts';
