// V8's settings for a process that lives for a second: `cat` and `readv`, which shells call in loops. Touches nothing but V8.
import { setFlagsFromString } from 'node:v8';

/**
 * The V8 of Node 20 compiles anew, with all optimizations, what has run only a little: a quarter of the processor time of a cold
 * `cat` of 256 MiB, on threads that take it from the rest. What is hot for seconds still gets there. Later versions wait longer
 * by themselves, and do not know the flags.
 */
export function tuneForShortRun(): void {
  if (!process.versions.v8.startsWith('11.')) return;
  setFlagsFromString('--interrupt-budget=1000000');
  setFlagsFromString('--wasm-tiering-budget=100000000');
}
