// GET /readyz: whether the store and the cache can be reached, asked at most once a second however many probes come.
import { systemClock, type Clock } from '../base/clock.ts';
import type { ReadinessFinding } from '../maintain/readiness.ts';

const AGE_MS_MAX = 1000;
const ASK_MS_MAX = 5000;

export class Readiness {
  readonly #ask: (signal: AbortSignal) => Promise<readonly ReadinessFinding[]>;
  readonly #clock: Clock;
  #answer: { readonly atMs: number; readonly findings: Promise<readonly ReadinessFinding[]> } | undefined;
  #draining = false;

  constructor(ask: (signal: AbortSignal) => Promise<readonly ReadinessFinding[]>, clock: Clock = systemClock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** From now on not ready: a load balancer stops sending while what runs is finished. */
  drain(): void {
    this.#draining = true;
  }

  async findings(): Promise<readonly ReadinessFinding[]> {
    if (this.#draining) return [{ name: 'server', ok: false, reason: 'the server is shutting down' }];
    const nowMs = this.#clock.monotonicMs();
    if (!this.#answer || nowMs - this.#answer.atMs > AGE_MS_MAX) {
      const signal = AbortSignal.timeout(ASK_MS_MAX);
      const findings = this.#ask(signal).catch((error: unknown) => [
        {
          name: 'check',
          ok: false,
          reason: signal.aborted ? `no answer in ${ASK_MS_MAX} ms` : (error as Error).message,
        },
      ]);
      this.#answer = { atMs: nowMs, findings };
    }
    return this.#answer.findings;
  }
}
