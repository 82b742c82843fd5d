import { expect, test } from 'vitest';
import { isShown, LOG_LEVELS, OnceLogger, type LogLevel } from '../../../src/lib/base/log.ts';

test.each([
  ['error', 'error'],
  ['warn', 'error warn'],
  ['info', 'error warn info'],
  ['debug', 'error warn info debug'],
] as const)('the level %s shows %s', (level, shown) => {
  expect(LOG_LEVELS.filter((message) => isShown(level, message)).join(' ')).toBe(shown);
});

test('a OnceLogger passes each message on once, with its level and fields', () => {
  const lines: unknown[] = [];
  const once = new OnceLogger({ log: (...line) => lines.push(line) });
  const say = (level: LogLevel, message: string, fields?: Record<string, number>): void =>
    once.log(level, message, fields);
  say('warn', 'full', { bytes: 1 });
  say('warn', 'full', { bytes: 2 });
  say('info', 'empty');
  say('error', 'full');
  expect(lines).toEqual([
    ['warn', 'full', { bytes: 1 }],
    ['info', 'empty', undefined],
  ]);
});

test('a OnceLogger remembers a bounded number of messages, and says others each time', () => {
  let lines = 0;
  const once = new OnceLogger({ log: () => (lines += 1) });
  for (let message = 0; message < 1000; message += 1) once.log('warn', `message ${message}`);
  for (let time = 0; time < 3; time += 1) {
    once.log('warn', 'message 999');
    once.log('warn', 'message 1000');
  }
  expect(lines).toBe(1003);
});
