// Values that are mostly there already and sometimes a promise of themselves. A promise costs a small answer more than
// the work it stands for, so the warm path goes from step to step with these and waits only where it must.

export type MaybePromise<T> = T | Promise<T>;

/** `use` of the value, at once where it is there. */
export function andThen<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value);
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
