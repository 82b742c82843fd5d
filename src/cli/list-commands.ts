// The work of `ls` and `stat`, which answer from the manifest alone: shared by the commands and the lean way into them;
// and `ls` of the namespaces, which asks the store.
import { TEXT_CHUNK_CHARS, writeJsonList } from './output.ts';
import type { Session } from './session.ts';
import { stdout } from './stdout.ts';
import { bytesForPeople, listingLine, sheet, timestamp } from './tables.ts';

export async function ls(
  { pin, isJson, print }: Session,
  request: { readonly ns: string; readonly prefix: string | undefined; readonly long: boolean },
): Promise<void> {
  const version = await pin(request.ns);
  const entries = version.list({ prefix: request.prefix });
  if (isJson) {
    const head = { ns: request.ns, version: version.version, digest: version.digest };
    await writeJsonList(stdout(), { head, name: 'files', items: entries }, ({ path, sizeBytes, hash }) => ({
      path,
      size: sizeBytes,
      hash,
    }));
    return;
  }
  let text = '';
  for await (const entry of entries) {
    text += request.long ? listingLine(entry) : `${entry.path}\n`;
    if (text.length < TEXT_CHUNK_CHARS) continue;
    await print(text);
    text = '';
  }
  await print(text);
}

export async function listAllNamespaces(
  { seekfs, signal, isJson, print }: Session,
  { long }: { readonly long: boolean },
): Promise<void> {
  const { listNamespaces } = await import('../lib/manifest/namespaces.ts');
  const namespaces = listNamespaces(seekfs.publishing, { signal });
  if (isJson) {
    return writeJsonList(stdout(), { head: {}, name: 'namespaces', items: namespaces }, ({ ns, publishedAtMs }) => ({
      ns,
      published_at: Math.floor(publishedAtMs / 1000),
    }));
  }
  for await (const { ns, publishedAtMs } of namespaces) {
    await print(long ? `${timestamp(publishedAtMs)}  ${ns}\n` : `${ns}\n`);
  }
}

export async function stat(
  { pin, say, document }: Session,
  request: { readonly ns: string; readonly path: string },
): Promise<void> {
  const version = await pin(request.ns);
  const entry = await version.lookup(request.path);
  const { storage, pages } = entry;
  const pageSizeBytes = pages[0]?.len ?? 0;
  const isChecked = pages.every((page) => page.crc32c !== undefined);
  await document({
    ns: request.ns,
    version: version.version,
    path: entry.path,
    size: entry.sizeBytes,
    hash: entry.hash ?? null,
    pages: pages.length,
    page_size: pageSizeBytes,
    checksums: isChecked ? (entry.granuleCrcs ? 'granules' : 'pages') : 'none',
    modified_at: entry.modifiedAtMs === undefined ? null : Math.floor(entry.modifiedAtMs / 1000),
    storage: { key: storage.key, etag: storage.etag ?? null, off: storage.off, sse: storage.sse ?? null },
  });
  say(
    sheet({
      path: entry.path,
      version: `v-${version.version} of ${request.ns}`,
      size: bytesForPeople(entry.sizeBytes),
      hash: entry.hash ?? 'none',
      modified: entry.modifiedAtMs === undefined ? undefined : `${timestamp(entry.modifiedAtMs)} UTC`,
      pages: `${pages.length} of up to ${bytesForPeople(pageSizeBytes)}`,
      checksums: isChecked ? (entry.granuleCrcs ? 'CRC32C of pages and granules' : 'CRC32C of pages') : 'none',
      object: storage.key,
      offset: storage.off === 0 ? undefined : storage.off,
      etag: storage.etag ?? 'none',
    }),
  );
}
