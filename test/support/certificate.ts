// Self-signed certificates for tests of HTTPS, made by openssl.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './temporary-directory.ts';

export const OPENSSL = spawnSync('openssl', ['version']).status === 0;

/** `names`: "DNS:localhost", "IP:127.0.0.1". */
export async function selfSigned(
  names: readonly string[],
): Promise<{ readonly key: Buffer; readonly cert: Buffer; readonly certPath: string; readonly directory: string }> {
  const directory = await temporaryDirectory();
  const [keyPath, certPath] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', `subjectAltName=${names.join(',')}`];
  const flags = '-x509 -newkey rsa:2048 -nodes -days 2'.split(' ');
  execFileSync('openssl', ['req', ...flags, ...subject, '-keyout', keyPath, '-out', certPath], { stdio: 'ignore' });
  return { key: readFileSync(keyPath), cert: readFileSync(certPath), certPath, directory };
}
