// Which files a command means: a path, a prefix that ends in a slash, a glob. Pure.
import picomatch from 'picomatch';
import { SeekfsError } from '../base/errors.ts';
import { checkPath } from './key-layout.ts';

const GLOB_MAX_LENGTH = 4096;

export interface PathPatterns {
  /** Every matching path begins with it; '' where nothing is known. */
  readonly commonPrefix: string;
  /** The pattern that the path matches first, or undefined. */
  match(path: string): string | undefined;
  /** Patterns that `match` never answered with: for "matches nothing". */
  unmatched(): readonly string[];
  /** Is it named as such, not by a prefix or a glob? */
  isNamed(path: string): boolean;
}

function longestCommonPrefix(texts: readonly string[]): string {
  let common = texts[0] ?? '';
  for (const text of texts) {
    let length = 0;
    while (length < common.length && common[length] === text[length]) length += 1;
    common = common.slice(0, length);
  }
  // Half a surrogate pair is no prefix of a key.
  return /[\ud800-\udbff]$/.test(common) ? common.slice(0, -1) : common;
}

/**
 * No patterns match everything.
 * @throws usage
 */
export function compilePatterns(patterns: readonly string[]): PathPatterns {
  const matched = new Set<string>();
  const named = new Set<string>();
  const tests: { pattern: string; matches: (path: string) => boolean }[] = [];
  const prefixes: string[] = [];
  for (const pattern of patterns) {
    if (pattern.length > GLOB_MAX_LENGTH) throw new SeekfsError('usage', 'a pattern is too long');
    const { isGlob, base } = picomatch.scan(pattern);
    if (isGlob) {
      // A file name may have these characters too: such a path is named by a glob that escapes them.
      tests.push({ pattern, matches: picomatch(pattern, { dot: true, nonegate: true }) });
      prefixes.push(base === '' ? '' : `${base}/`);
    } else if (pattern.endsWith('/')) {
      checkPath(pattern.slice(0, -1));
      tests.push({ pattern, matches: (path) => path.startsWith(pattern) });
      prefixes.push(pattern);
    } else {
      checkPath(pattern);
      named.add(pattern);
      prefixes.push(pattern);
    }
  }
  return {
    commonPrefix: longestCommonPrefix(prefixes),
    match: (path) => {
      const pattern = named.has(path) ? path : tests.find((test) => test.matches(path))?.pattern;
      if (patterns.length === 0) return '';
      if (pattern !== undefined) matched.add(pattern);
      return pattern;
    },
    unmatched: () => patterns.filter((pattern) => !matched.has(pattern)),
    isNamed: (path) => named.has(path),
  };
}
