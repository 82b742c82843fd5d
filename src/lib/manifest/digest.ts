// Digests as manifests write them, "sha256:<hex>".
import { createHash } from 'node:crypto';

const PREFIX = 'sha256:';
const SLICE_BYTES = 8 * 1024 * 1024;

/** In slices, so that the event loop is held for a few milliseconds at a time. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (at > 0) await new Promise((resolve) => setImmediate(resolve));
    hash.update(bytes.subarray(at, at + SLICE_BYTES));
  }
  return toDigest(hash.digest('hex'));
}

export function toDigest(hex: string): string {
  return PREFIX + hex;
}

/** The 64 hex digits. */
export function hexOf(digest: string): string {
  return digest.slice(PREFIX.length);
}
