// Where the library says things that are not errors: an injected sink, because the library never prints.

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface Logger {
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}

export const silentLogger: Logger = { log: () => undefined };

/** Passes each distinct message on once: "one warning" of the promises, however many reads meet the cause. */
export class OnceLogger implements Logger {
  readonly #inner: Logger;
  readonly #seen = new Set<string>();

  constructor(inner: Logger) {
    this.#inner = inner;
  }

  log(level: LogLevel, message: string, fields?: Readonly<Record<string, string | number | boolean>>): void {
    if (this.#seen.has(message)) return;
    if (this.#seen.size < 1000) this.#seen.add(message);
    this.#inner.log(level, message, fields);
  }
}
