// Warm: brings the files that match into L2, says what that would take, or checks what is there. For the `warm`
// command; resumes by itself, because what is there already is passed over. Prints nothing and knows no flags.
import { throwIfAborted } from '../base/errors.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { compilePatterns, type PathPatterns } from '../manifest/path-patterns.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import { GRANULE_BYTES, granuleCount, type Page } from '../page/page.ts';
import { FilePages } from '../read/pages.ts';
import type { Reader, WarmTarget } from '../read/reader.ts';

export interface WarmDeps {
  readonly reader: Reader;
  readonly cache: PageCache;
}

export interface WarmRequest {
  readonly version: PinnedVersion;
  /** Paths, prefixes that end in a slash, globs; none: everything. */
  readonly patterns: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** `totalBytes` grows while the list of files is still being read. */
  readonly onProgress?:
    | ((progress: { readonly bytes: number; readonly fetchedBytes: number; readonly totalBytes: number }) => void)
    | undefined;
}

export interface WarmReport {
  readonly files: number;
  readonly bytes: number;
  readonly fetchedBytes: number;
  /** What is not in the cache all the same, because that declined it or lost it meanwhile. */
  readonly missingPages: number;
  readonly missingBytes: number;
  /** Of files of which something is missing, the first 20. */
  readonly missingPaths: readonly string[];
  /** Patterns that no file matches. */
  readonly unmatched: readonly string[];
}

export interface WarmForecast {
  readonly files: number;
  readonly bytes: number;
  /** Of them, what is not in the cache: pages, bytes, and the GETs that bring them. */
  readonly missingPages: number;
  readonly missingBytes: number;
  readonly gets: number;
  /** In the currency of the price; undefined without one. */
  readonly cost: number | undefined;
  readonly unmatched: readonly string[];
}

export interface CheckFinding {
  readonly path: string;
  readonly pageId: number;
  readonly kind: 'missing' | 'partial' | 'damaged';
}

export interface WarmCheckReport {
  readonly files: number;
  readonly pages: number;
  readonly bytes: number;
  readonly intactPages: number;
  readonly missingPages: number;
  /** Some granules are there, and intact, others are missing. */
  readonly partialPages: number;
  readonly damagedPages: number;
  /** The first of them, at most `findingsMax`. */
  readonly findings: readonly CheckFinding[];
  readonly unmatched: readonly string[];
}

/** 1 MiB: one system call for several granules, little memory. */
const GRANULES_AT_ONCE = 8;

async function* matching(
  request: WarmRequest,
  patterns: PathPatterns,
  onFile: (entry: FileEntry) => void,
): AsyncGenerator<FileEntry, void, undefined> {
  for await (const entry of request.version.list({ prefix: patterns.commonPrefix })) {
    throwIfAborted(request.signal);
    if (patterns.match(entry.path) === undefined) continue;
    onFile(entry);
    yield entry;
  }
}

async function* targetsOf(entries: AsyncIterable<FileEntry>): AsyncGenerator<WarmTarget, void, undefined> {
  for await (const entry of entries) yield { entry, range: { off: 0, len: entry.sizeBytes } };
}

/**
 * Fetches what is missing, behind the demand reads of this process, and looks afterwards whether it is there.
 * @throws usage for malformed patterns; as `Reader.stream` at the first file that cannot be fetched
 */
export async function warm(deps: WarmDeps, request: WarmRequest): Promise<WarmReport> {
  const patterns = compilePatterns(request.patterns);
  let files = 0;
  let totalBytes = 0;
  let fetchedBytes = 0;
  const entries = matching(request, patterns, (entry) => {
    files += 1;
    totalBytes += entry.sizeBytes;
  });
  await deps.reader.warm(request.version, targetsOf(entries), {
    signal: request.signal,
    onProgress: (progress) => {
      fetchedBytes = progress.fetchedBytes;
      request.onProgress?.({ ...progress, totalBytes });
    },
  });
  // What other processes brought meanwhile counts as well.
  await deps.cache.refresh();
  const again = matching(request, patterns, () => undefined);
  const { signal } = request;
  const missing = await deps.reader.planWarm(request.version, targetsOf(again), { signal, lasting: true });
  const { pages: missingPages, bytes: missingBytes, paths: missingPaths } = missing;
  const unmatched = patterns.unmatched();
  return { files, bytes: totalBytes, fetchedBytes, missingPages, missingBytes, missingPaths, unmatched };
}

/** What `warm` would do now; fetches nothing. `pricePer1000Gets`: of the store's GET requests. */
export async function forecastWarm(
  deps: WarmDeps,
  request: WarmRequest & { readonly pricePer1000Gets?: number | undefined },
): Promise<WarmForecast> {
  const patterns = compilePatterns(request.patterns);
  let files = 0;
  let bytes = 0;
  const entries = matching(request, patterns, (entry) => {
    files += 1;
    bytes += entry.sizeBytes;
  });
  const plan = await deps.reader.planWarm(request.version, targetsOf(entries), { signal: request.signal });
  const { pricePer1000Gets } = request;
  return {
    files,
    bytes,
    missingPages: plan.pages,
    missingBytes: plan.bytes,
    gets: plan.gets,
    cost: pricePer1000Gets === undefined ? undefined : (plan.gets / 1000) * pricePer1000Gets,
    unmatched: patterns.unmatched(),
  };
}

/** Reads and verifies every page that the cache says it has; fetches nothing. Damaged pages are dropped by that. */
export async function checkWarm(
  deps: WarmDeps,
  request: WarmRequest & { readonly findingsMax?: number | undefined },
): Promise<WarmCheckReport> {
  const { findingsMax = 100, signal } = request;
  const patterns = compilePatterns(request.patterns);
  const counts = { files: 0, pages: 0, bytes: 0, intactPages: 0, missingPages: 0, partialPages: 0, damagedPages: 0 };
  const findings: CheckFinding[] = [];
  let checkedBytes = 0;
  const entries = matching(request, patterns, (entry) => {
    counts.files += 1;
    counts.bytes += entry.sizeBytes;
  });
  for await (const entry of entries) {
    if (entry.pages.length === 0) continue;
    const file = pagesOf(request.version.ns, entry);
    for (let index = 0; index < entry.pages.length; index += 1) {
      throwIfAborted(signal);
      const { len } = entry.pages[index]!;
      counts.pages += 1;
      const state = file ? await checkPage(deps.cache, file.page(index).page, signal) : 'missing';
      counts[`${state}Pages`] += 1;
      if (state !== 'intact' && findings.length < findingsMax) {
        findings.push({ path: entry.path, pageId: entry.pages[index]!.pageId, kind: state });
      }
      checkedBytes += len;
      request.onProgress?.({ bytes: checkedBytes, fetchedBytes: 0, totalBytes: counts.bytes });
    }
  }
  return { ...counts, findings, unmatched: patterns.unmatched() };
}

/** Undefined where the pages have no identity before somebody has asked the store: none can be in the cache for sure. */
function pagesOf(ns: string, entry: FileEntry): FilePages | undefined {
  if (entry.hash === undefined && entry.storage.etag === undefined) return undefined;
  return new FilePages(ns, entry);
}

async function checkPage(
  cache: PageCache,
  page: Page,
  signal: AbortSignal | undefined,
): Promise<'intact' | 'missing' | 'partial' | 'damaged'> {
  const presence = await cache.presence(page);
  let present = 0;
  let damaged = false;
  const granules = granuleCount(page);
  for (let first = 0; first < granules;) {
    if (!presence.has(first)) {
      first += 1;
      continue;
    }
    let end = first + 1;
    while (end < granules && end - first < GRANULES_AT_ONCE && presence.has(end)) end += 1;
    const off = first * GRANULE_BYTES;
    const slabs = await cache.read(page, { off, len: Math.min(page.len, end * GRANULE_BYTES) - off }, { signal });
    if (slabs) for (const slab of slabs) slab.release();
    else damaged = true;
    present += end - first;
    first = end;
  }
  if (damaged) return 'damaged';
  return present === granules ? 'intact' : present === 0 ? 'missing' : 'partial';
}
