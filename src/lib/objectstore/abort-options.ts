// The abort signal of a caller, as a request of the AWS SDK takes it.
import { setMaxListeners } from 'node:events';

/**
 * The SDK listens to the signal once for each request under way. Many requests may share one signal, which Node would
 * report as a leak from the eleventh on.
 */
export function abortOptions(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  if (!signal) return {};
  setMaxListeners(0, signal);
  return { abortSignal: signal };
}
