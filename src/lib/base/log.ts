// Where the library says things that are not errors: an injected sink, because the library never prints.

/** The gravest first. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Does a log of that level show a message of the other? */
export function isShown(level: LogLevel, message: LogLevel): boolean {
  return LOG_LEVELS.indexOf(message) <= LOG_LEVELS.indexOf(level);
}

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
