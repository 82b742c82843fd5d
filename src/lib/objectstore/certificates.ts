// The certificate authorities that a store's certificate may come from.
import { readFile } from 'node:fs/promises';
import { wrapSystemError } from '../base/errors.ts';

/** Node's own and those of `caFile`; undefined: only Node's own. @throws file_not_found, access_denied */
export async function readCertificates(caFile: string | undefined): Promise<string[] | undefined> {
  if (caFile === undefined) return undefined;
  try {
    const [{ rootCertificates }, own] = await Promise.all([import('node:tls'), readFile(caFile, 'utf8')]);
    return [...rootCertificates, own];
  } catch (error) {
    throw wrapSystemError(error, `read the certificates in ${caFile}`);
  }
}
