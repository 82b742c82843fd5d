// Turns of the event loop for work in steps that never wait for anything: in each turn a few steps are done, in order, so
// that however many do such work, whatever else the loop has to do waits for a millisecond at most.

export class LoopTurns {
  readonly #stepsPerTurn: number;
  readonly #waiting: (() => void)[] = [];

  constructor(options: { stepsPerTurn: number }) {
    this.#stepsPerTurn = options.stepsPerTurn;
  }

  /** Resolves in a later turn, when it is the caller's. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(() => this.#turn());
    });
  }

  #turn(): void {
    for (const go of this.#waiting.splice(0, this.#stepsPerTurn)) go();
    if (this.#waiting.length > 0) setImmediate(() => this.#turn());
  }
}
