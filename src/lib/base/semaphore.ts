// A counting semaphore with first-come order and abortable waits: the cap on whatever is counted in permits.
import { abortError } from './errors.ts';
import { onAbort } from './on-abort.ts';

interface Waiter {
  readonly permits: number;
  readonly grant: () => void;
}

export class Semaphore {
  readonly capacity: number;
  #free: number;
  readonly #waiters = new Set<Waiter>();

  constructor(capacity: number) {
    if (!(capacity >= 1)) throw new RangeError(`a semaphore of ${capacity} permits would never grant any`);
    this.capacity = capacity;
    this.#free = capacity;
  }

  get inUse(): number {
    return this.capacity - this.#free;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Resolves with the function that gives the permits back; calling that twice is harmless.
   * A request for more than the capacity is granted when everything is free.
   */
  async acquire(options: { permits?: number; signal?: AbortSignal | undefined } = {}): Promise<() => void> {
    const permits = Math.min(options.permits ?? 1, this.capacity);
    const { signal } = options;
    if (signal?.aborted) throw abortError(signal);
    if (this.#waiters.size > 0 || this.#free < permits) {
      await new Promise<void>((resolve, reject) => {
        const cancel = (): void => {
          this.#waiters.delete(waiter);
          reject(abortError(signal!));
          this.#wake();
        };
        const waiter: Waiter = {
          permits,
          grant: () => {
            signal?.removeEventListener('abort', cancel);
            resolve();
          },
        };
        this.#waiters.add(waiter);
        if (signal) onAbort(signal, cancel);
      });
    } else {
      this.#free -= permits;
    }
    return this.#giveBack(permits);
  }

  /** As `acquire`, without waiting: undefined where it would. */
  tryAcquire(permits = 1): (() => void) | undefined {
    const taken = Math.min(permits, this.capacity);
    if (this.#waiters.size > 0 || this.#free < taken) return undefined;
    this.#free -= taken;
    return this.#giveBack(taken);
  }

  #giveBack(permits: number): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free += permits;
      this.#wake();
    };
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      if (this.#free < waiter.permits) return;
      this.#waiters.delete(waiter);
      this.#free -= waiter.permits;
      waiter.grant();
    }
  }
}
