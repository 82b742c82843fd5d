// The public face of the library.
export { SeekfsError, type ErrorCode } from './base/errors.ts';
export type { Seekfs } from './open.ts';
