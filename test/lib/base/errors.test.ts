import { stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import {
  abortError,
  ERROR_TABLE,
  isSeekfsError,
  SeekfsError,
  systemErrorCode,
  throwIfAborted,
  wrapSystemError,
  type ErrorCode,
} from '../../../src/lib/base/errors.ts';

describe('the error table', () => {
  const rows = Object.entries(ERROR_TABLE);

  test('has the exit statuses of the product contract and HTTP statuses that are errors', () => {
    const statuses = new Set([1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 130]);
    for (const [code, row] of rows) {
      expect(statuses, code).toContain(row.exitStatus);
      expect(row.httpStatus, code).toBeGreaterThanOrEqual(400);
      expect(row.httpStatus, code).toBeLessThan(600);
    }
    expect(new Set(rows.map(([, row]) => row.exitStatus))).toEqual(statuses);
  });

  test.each([
    ['range_not_satisfiable', 2, 416],
    ['path_not_found', 10, 404],
    ['page_corrupt', 13, 502],
    ['object_changed', 14, 409],
    ['store_throttled', 15, 503],
    ['disk_full', 16, 507],
    ['interrupted', 130, 499],
  ] as const)('%s: exit %i, HTTP %i', (code, exitStatus, httpStatus) => {
    const error = new SeekfsError(code, 'x');
    expect([error.exitStatus, error.httpStatus]).toEqual([exitStatus, httpStatus]);
  });

  test('nothing that is corrupt, forbidden or missing is retryable', () => {
    for (const [code, row] of rows)
      if ([2, 10, 12, 13, 14].includes(row.exitStatus)) expect(row.retryable, code).toBe(false);
  });
});

describe('SeekfsError', () => {
  test('takes retryability from the table unless it is told otherwise', () => {
    expect(new SeekfsError('store_unavailable', 'x').retryable).toBe(true);
    expect(new SeekfsError('store_unavailable', 'x', { retryable: false }).retryable).toBe(false);
    expect(new SeekfsError('usage', 'x').retryable).toBe(false);
  });

  test('as JSON has code, message and details, and never the cause', () => {
    const error = new SeekfsError('usage', 'no', { cause: new Error('secret'), details: { off: 1 } });
    expect(JSON.parse(JSON.stringify(error))).toEqual({ error: { code: 'usage', message: 'no', details: { off: 1 } } });
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('is told from other errors, and by code', () => {
    expect(isSeekfsError(new SeekfsError('usage', 'x'))).toBe(true);
    expect(isSeekfsError(new SeekfsError('usage', 'x'), 'locked')).toBe(false);
    expect(isSeekfsError(new Error('x'))).toBe(false);
    expect(isSeekfsError(undefined)).toBe(false);
  });
});

describe('aborts', () => {
  test('stand for the reason where that is ours, and for an interruption otherwise', () => {
    const ours = new SeekfsError('overloaded', 'x');
    expect(abortError(AbortSignal.abort(ours))).toBe(ours);
    expect(abortError(AbortSignal.abort()).code).toBe('interrupted');
    expect(abortError(AbortSignal.abort('anything')).code).toBe('interrupted');
  });

  test('throwIfAborted throws only then', () => {
    expect(() => throwIfAborted(undefined)).not.toThrow();
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow();
    expect(() => throwIfAborted(AbortSignal.abort())).toThrow(SeekfsError);
  });
});

describe('wrapSystemError', () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: something long, open '/a'`), { code });

  test.each([
    ['ENOENT', 'file_not_found'],
    ['ENOTDIR', 'file_not_found'],
    ['EACCES', 'access_denied'],
    ['EROFS', 'access_denied'],
    ['ENOSPC', 'disk_full'],
    ['EDQUOT', 'disk_full'],
    ['EIO', 'unexpected'],
  ] as const satisfies readonly (readonly [string, ErrorCode])[])('%s is %s', (errno, code) => {
    const wrapped = wrapSystemError(system(errno), 'read /a');
    expect([wrapped.code, wrapped.message]).toEqual([code, `cannot read /a: ${errno}`]);
  });

  test('says what the system calls it, where the system gave its number', async () => {
    const error: unknown = await stat('/nothing/here').catch((thrown: unknown) => thrown);
    expect(wrapSystemError(error, 'read x').message).toBe('cannot read x: no such file or directory (ENOENT)');
  });

  test('leaves our own errors as they are, and names what else was thrown', () => {
    const ours = new SeekfsError('locked', 'x');
    expect(wrapSystemError(ours, 'y')).toBe(ours);
    expect(wrapSystemError('odd', 'y').message).toBe('cannot y: odd');
    expect(systemErrorCode({ code: 'ENOENT' })).toBeUndefined();
    expect(systemErrorCode(Object.assign(new Error('x'), { code: 5 }))).toBeUndefined();
  });
});
