// Bearer tokens by namespace, from a file of lines "TOKEN NAMESPACE[,NAMESPACE…]" ("*": all; "#" begins a comment).
// Only SHA-256 digests stay in memory; all of them are compared, each in constant time.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SeekfsError, wrapSystemError } from '../base/errors.ts';

/** RFC 6750 §2.1, at least as long as 16 random bytes in base64. */
const TOKEN = /^[A-Za-z0-9\-._~+/]{22,512}=*$/;

interface Grant {
  readonly digest: Buffer;
  readonly isForAll: boolean;
  readonly namespaces: ReadonlySet<string>;
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();

export class Tokens {
  readonly #grants: readonly Grant[];

  constructor(grants: readonly Grant[]) {
    this.#grants = grants;
  }

  /** Does the Authorization header carry a token for the namespace; for all of them where `ns` is undefined? */
  allow(authorization: string | undefined, ns: string | undefined): boolean {
    const match = /^Bearer +(\S+)$/i.exec(authorization ?? '');
    if (!match) return false;
    const digest = digestOf(match[1]!);
    let isAllowed = false;
    for (const grant of this.#grants) {
      const isSame = timingSafeEqual(digest, grant.digest);
      if (isSame && (grant.isForAll || (ns !== undefined && grant.namespaces.has(ns)))) isAllowed = true;
    }
    return isAllowed;
  }
}

/** @throws config_invalid, naming the line and never its token */
export function parseTokens(text: string, source: string): Tokens {
  const grants: Grant[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0]!.startsWith('#')) continue;
    const [token, list, ...rest] = words;
    const names = (list ?? '').split(',').filter((name) => name !== '');
    const where = `line ${index + 1} of ${source}`;
    if (names.length === 0 || rest.length > 0) {
      throw new SeekfsError('config_invalid', `${where} is not "TOKEN NAMESPACE[,NAMESPACE…]", with * for all`);
    }
    if (!TOKEN.test(token!)) {
      throw new SeekfsError(
        'config_invalid',
        `the token in ${where} is shorter than 22 characters or has other ones than base64`,
      );
    }
    grants.push({ digest: digestOf(token!), isForAll: names.includes('*'), namespaces: new Set(names) });
  }
  if (grants.length === 0) throw new SeekfsError('config_invalid', `${source} has no tokens`);
  return new Tokens(grants);
}

/** @throws config_invalid, file_not_found, access_denied */
export async function readTokens(path: string): Promise<Tokens> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw wrapSystemError(error, `read the tokens in ${path}`);
  }
  return parseTokens(text, path);
}
