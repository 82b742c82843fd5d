// Extents on the command line, in JSON and in lines.
import { expect, test } from 'vitest';
import { parseExtent, parseExtentsText } from '../../src/cli/extents.ts';

test.each([
  ['warm.bin:0:4096', { path: 'warm.bin', off: 0, len: 4096 }],
  ['a:b.bin:8MiB:64K', { path: 'a:b.bin', off: 8 << 20, len: 65_536 }],
  ['x:1:0', { path: 'x', off: 1, len: 0 }],
])('%s is an extent', (text, extent) => {
  expect(parseExtent(text)).toEqual(extent);
});

test.each(['', 'warm.bin', 'warm.bin:1', ':0:1', 'warm.bin:-1:1', 'warm.bin:1:', 'warm.bin:a:1', 'warm.bin:0:1.5'])(
  '"%s" is none, and the error names it',
  (text) => {
    expect(() => parseExtent(text)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(`"${text}" is not an extent`) }),
    );
  },
);

test('a JSON array, JSON lines and plain lines say the same', () => {
  const extents = [
    { path: 'a', off: 0, len: 1 },
    { path: 'b', off: 5, len: 0 },
  ];
  expect(parseExtentsText(` ${JSON.stringify(extents)}\n`, 'f')).toEqual(extents);
  expect(parseExtentsText(extents.map((extent) => JSON.stringify(extent)).join('\n\n'), 'f')).toEqual(extents);
  expect(parseExtentsText('a:0:1\nb:5:0\n', 'f')).toEqual(extents);
});

test.each([
  ['[1]', 'extent 1 of f is not'],
  ['[{"path":"a","off":0,"len":1},{"path":"a","off":-1,"len":1}]', 'extent 2 of f is not'],
  ['[{"path":"a","off":0}]', 'extent 1 of f is not'],
  ['[{"path":"a","off":0,', 'f is not JSON'],
  ['a:0:1\n{"path":7}', 'line 2 of f is not'],
  ['a:0:1\n{', 'line 2 of f is not JSON'],
])('%s is refused with its place', (text, message) => {
  expect(() => parseExtentsText(text, 'f')).toThrow(message);
});
