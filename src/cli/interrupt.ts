// Ctrl-C and SIGTERM: the first aborts the one signal that all work of this process hangs on, the second ends the
// process; so does the first where the work has not stopped within its grace.
import { SeekfsError } from '../lib/base/errors.ts';

const GRACE_MS = 900;
const INTERRUPTED_STATUS = 130;

class Interruption {
  readonly #controller = new AbortController();
  /** How long the work may take to stop by itself; `serve` drains for longer. */
  graceMs = GRACE_MS;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** `leave` ends the process with a status. */
  listen(leave: (status: number) => void): void {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (this.signal.aborted) leave(INTERRUPTED_STATUS);
        this.abort(new SeekfsError('interrupted', 'interrupted'));
        setTimeout(() => leave(INTERRUPTED_STATUS), this.graceMs).unref();
      });
    }
  }

  abort(reason: SeekfsError | ClosedOutput): void {
    this.#controller.abort(reason);
  }
}

/** The reader of stdout went away: the work ends, and that is no failure. */
export class ClosedOutput extends Error {
  override readonly name = 'ClosedOutput';
}

/** The one of this process. */
export const interruption = new Interruption();
