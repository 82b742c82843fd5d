// GET /advisor: of the files that clients read, those whose missing bytes would be fetched most often, and what warming
// them costs once and saves with each pass over them.
import { findFile } from '../manifest/find-file.ts';
import type { PinnedVersion } from '../manifest/types.ts';
import type { Reader } from '../read/reader.ts';
import type { FileActivity } from './activity.ts';

export interface WarmCandidate {
  readonly ns: string;
  readonly path: string;
  /** Bytes that were asked for, by the share of the file that is not in the cache: the larger, the sooner. */
  readonly score: number;
  readonly reads: number;
  readonly read_bytes: number;
  /** What warming fetches, once, and a pass over the file would fetch without it, each time. */
  readonly missing_bytes: number;
  readonly gets: number;
}

const CANDIDATES_MAX = 20;

export interface AdviseDeps {
  readonly reader: Reader;
  /** The current version of a namespace; undefined where it cannot be opened any more. */
  readonly current: (ns: string) => Promise<PinnedVersion | undefined>;
}

async function candidate(deps: AdviseDeps, file: FileActivity): Promise<WarmCandidate | undefined> {
  const version = await deps.current(file.ns);
  // A file that the current version has no more is nothing to warm.
  const entry = version && (await findFile(version, file.path).catch(() => undefined));
  if (!version || !entry || entry.sizeBytes === 0) return undefined;
  const plan = await deps.reader.planWarm(version, [{ entry, range: { off: 0, len: entry.sizeBytes } }]);
  if (plan.bytes === 0) return undefined;
  return {
    ns: file.ns,
    path: file.path,
    score: Math.round(file.readBytes * (plan.bytes / entry.sizeBytes)),
    reads: file.reads,
    read_bytes: file.readBytes,
    missing_bytes: plan.bytes,
    gets: plan.gets,
  };
}

/** Sends no request beyond a look at HEAD. */
export async function advise(
  deps: AdviseDeps,
  files: readonly FileActivity[],
): Promise<{ top_warm_candidates: WarmCandidate[]; would_save: { gets: number; bytes: number } }> {
  const found: WarmCandidate[] = [];
  for (const file of files) {
    const one = await candidate(deps, file);
    if (one) found.push(one);
  }
  const top = found.sort((a, b) => b.score - a.score).slice(0, CANDIDATES_MAX);
  const sum = (of: (one: WarmCandidate) => number): number => top.reduce((total, one) => total + of(one), 0);
  return {
    top_warm_candidates: top,
    would_save: { gets: sum(({ gets }) => gets), bytes: sum((one) => one.missing_bytes) },
  };
}
