// Listening to an abort signal, for whatever waits: one signal stands for all the work of a command or a request, so any
// number of waits may share it.
import { setMaxListeners } from 'node:events';

/** Calls the listener once. Node alone would report the eleventh listener of a signal as a leak, on stderr. */
export function onAbort(signal: AbortSignal, listener: () => void): void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
}
