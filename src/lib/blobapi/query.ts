// Strict reading of a request's query: each parameter at most once, only those that the route knows, no empty value,
// no number that is not plain digits. Pure. Every refusal names the parameter.
import { SeekfsError } from '../base/errors.ts';
import type { VersionSelector } from '../manifest/types.ts';

export function badParameter(name: string, problem: string): SeekfsError {
  return new SeekfsError('usage', `parameter "${name}" ${problem}`, { details: { parameter: name } });
}

function decode(text: string, name: string): string {
  // As in HTML forms: "+" is a space; a plus sign is written %2B.
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw badParameter(name, 'is not percent-encoded UTF-8');
  }
}

export class Query {
  readonly #values = new Map<string, string>();

  /**
   * @param search what follows the "?", as it was sent
   * @throws usage
   */
  constructor(search: string, known: readonly string[]) {
    for (const pair of search === '' ? [] : search.split('&')) {
      if (pair === '') continue;
      const equals = pair.indexOf('=');
      const rawName = equals === -1 ? pair : pair.slice(0, equals);
      const name = decode(rawName, rawName.slice(0, 64));
      if (!known.includes(name)) {
        const list = known.length === 0 ? 'this endpoint has none' : `this endpoint has ${known.join(', ')}`;
        throw badParameter(name.slice(0, 64), `is not known; ${list}`);
      }
      if (this.#values.has(name)) throw badParameter(name, 'is given more than once');
      this.#values.set(name, equals === -1 ? '' : decode(pair.slice(equals + 1), name));
    }
  }

  /** @throws usage where it is empty */
  optional(name: string): string | undefined {
    const value = this.#values.get(name);
    if (value === '') throw badParameter(name, 'is empty');
    return value;
  }

  /** As `optional`, but an empty value is a value. */
  optionalOrEmpty(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** @throws usage where it is missing or empty */
  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw badParameter(name, 'is missing');
    return value;
  }

  /** @throws usage where it is no whole number from 0 within the safe integers */
  count(name: string): number | undefined {
    const value = this.optional(name);
    return value === undefined ? undefined : parseCount(value, name);
  }

  /** `version=3`, `v3`, `v-3` (as HEAD and `manifest head --short` have it), `3@sha256:…`; absent: the current one. */
  version(): VersionSelector {
    const value = this.optional('version');
    if (value === undefined) return HEAD;
    const match = /^(?:v-?)?(\d+)(?:@(sha256:[0-9a-f]{64}))?$/.exec(value);
    if (!match) throw badParameter('version', `is "${value.slice(0, 80)}"; write 3, v-3 or 3@sha256:<64 hex digits>`);
    const version = parseCount(match[1]!, 'version');
    if (version === 0) throw badParameter('version', 'is 0; versions count from 1');
    return { kind: 'version', version, digest: match[2] };
  }
}

const HEAD: VersionSelector = { kind: 'head' };

function parseCount(value: string, name: string): number {
  if (!/^\d+$/.test(value)) throw badParameter(name, `is "${value.slice(0, 40)}", not a whole number from 0`);
  const count = Number(value);
  if (!Number.isSafeInteger(count)) throw badParameter(name, 'is larger than 9007199254740991');
  return count;
}
