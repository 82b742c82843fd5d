// An error with what only HTTP knows about it: a status that differs from the table's, and header fields.
import { SeekfsError, type ErrorCode, type SeekfsErrorOptions } from '../base/errors.ts';

export interface RefusalOptions extends SeekfsErrorOptions {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Refusal extends SeekfsError {
  readonly #status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: RefusalOptions = {}) {
    super(code, message, options);
    this.#status = options.status;
    this.headers = options.headers ?? {};
  }

  override get httpStatus(): number {
    return this.#status ?? super.httpStatus;
  }
}
