// Values that are mostly there already and sometimes a promise of themselves. A promise costs a small answer more than
// the work it stands for, so the warm path goes from step to step with these and waits only where it must.

export type MaybePromise<T> = T | Promise<T>;

/** `use` of the value, at once where it is there. */
export function andThen<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value);
}

/** All of the values in their order, at once where they are all there. */
export function allOf<T>(values: readonly MaybePromise<T>[]): MaybePromise<T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as T[]);
}

/** Calls `cleanup` once: when what `work` gives is there, or has failed. */
export function lastly<T>(work: () => MaybePromise<T>, cleanup: () => void): MaybePromise<T> {
  let result: MaybePromise<T> | undefined;
  try {
    result = work();
  } finally {
    if (!(result instanceof Promise)) cleanup();
  }
  return result instanceof Promise ? result.finally(cleanup) : result;
}
