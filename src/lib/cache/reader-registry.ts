// Which versions running processes read, written down in the cache directory so that gc on the same host keeps their
// pages. One small file a process, made when the first version is registered and removed at the end; the files of dead
// processes are removed by whoever lists. A hint for gc: a reader whose pages go all the same fetches them again.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { modifiedAtMs, type Disk } from '../disk/disk.ts';
import { listIfThere } from '../disk/if-there.ts';
import {
  parseProcessIdentity,
  sharesProcessNumbers,
  systemProcesses,
  type Processes,
  type ProcessIdentity,
} from '../disk/process-identity.ts';
import { layoutOf } from './layout.ts';

const BYTES_MAX = 1024 * 1024;
/** A reader in another pid namespace counts as running for so long after it last wrote its file. */
const SILENT_READER_MS = 600_000;
const HEARTBEAT_INTERVAL_MS = 60_000;

export interface VersionInUse {
  readonly ns: string;
  readonly version: number;
}

export interface RegistryOptions {
  readonly disk: Disk;
  /** The cache directory. */
  readonly directoryPath: string;
  readonly clock: { nowMs(): number };
  /** Default: those of this machine. */
  readonly processes?: Processes | undefined;
}

export class ReaderRegistry {
  readonly #options: RegistryOptions;
  readonly #path: string;
  readonly #inUse = new Map<string, { readonly version: VersionInUse; uses: number }>();
  #writing: Promise<void> = Promise.resolve();
  #beat: NodeJS.Timeout | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#path = join(layoutOf(options.directoryPath).readers, `${process.pid}-${randomBytes(8).toString('hex')}.json`);
  }

  /** Notes a use of the version; the function that it returns ends it. Never fails: it is a hint. */
  register(version: VersionInUse): () => void {
    const key = `${version.version} ${version.ns}`;
    const known = this.#inUse.get(key) ?? { version, uses: 0 };
    known.uses += 1;
    this.#inUse.set(key, known);
    if (known.uses === 1) this.#rewrite();
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      known.uses -= 1;
      if (known.uses > 0) return;
      this.#inUse.delete(key);
      this.#rewrite();
    };
  }

  /** Resolves when the file says what is registered now. */
  settled(): Promise<void> {
    return this.#writing;
  }

  async close(): Promise<void> {
    this.#inUse.clear();
    this.#rewrite();
    await this.#writing;
  }

  #rewrite(): void {
    this.#writing = this.#writing.then(() => this.#write()).catch(() => undefined);
  }

  async #write(): Promise<void> {
    const { disk, directoryPath, processes = systemProcesses } = this.#options;
    const versions = [...this.#inUse.values()].map(({ version: { ns, version } }) => ({ ns, version }));
    if (versions.length === 0) {
      clearInterval(this.#beat);
      this.#beat = undefined;
      await disk.remove(this.#path);
      return;
    }
    this.#beat ??= setInterval(() => this.#rewrite(), HEARTBEAT_INTERVAL_MS).unref();
    await disk.makeDirectory(layoutOf(directoryPath).readers);
    const bytes = Buffer.from(JSON.stringify({ format: 1, process: await processes.current(), versions }));
    const temporary = `${this.#path}.tmp`;
    const file = await disk.open(temporary, 'create');
    try {
      await file.write([bytes], 0);
    } finally {
      await file.close();
    }
    await disk.rename(temporary, this.#path);
  }
}

/** The versions that running processes have registered; removes what dead ones left. Never fails for a file's content. */
export async function versionsInUse(options: RegistryOptions): Promise<VersionInUse[]> {
  const { disk, directoryPath, clock, processes = systemProcesses } = options;
  const { readers } = layoutOf(directoryPath);
  const names = (await listIfThere(disk, readers)) ?? [];
  const self = await processes.current();
  const versions: VersionInUse[] = [];
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    const path = join(readers, name);
    const entry = await readEntry(disk, path).catch(() => undefined);
    if (!entry) continue;
    const comparable = sharesProcessNumbers(self, entry.process);
    const runs = comparable
      ? await processes.isRunning(entry.process)
      : clock.nowMs() - entry.modifiedAtMs < SILENT_READER_MS;
    if (runs) versions.push(...entry.versions);
    else await disk.remove(path).catch(() => undefined);
  }
  return versions;
}

interface RegistryEntry {
  readonly process: ProcessIdentity;
  readonly versions: readonly VersionInUse[];
  readonly modifiedAtMs: number;
}

async function readEntry(disk: Disk, path: string): Promise<RegistryEntry | undefined> {
  const file = await disk.open(path, 'read');
  try {
    const stat = await file.stat();
    const bytes = Buffer.alloc(Math.min(stat.sizeBytes, BYTES_MAX));
    await file.read([bytes], 0);
    const parsed = JSON.parse(bytes.toString()) as { process?: unknown; versions?: unknown } | null;
    const owner = parseProcessIdentity(parsed?.process);
    if (!owner || !Array.isArray(parsed?.versions)) return undefined;
    return { process: owner, versions: parsed.versions.filter(isVersionInUse), modifiedAtMs: modifiedAtMs(stat) };
  } finally {
    await file.close();
  }
}

function isVersionInUse(value: unknown): value is VersionInUse {
  const { ns, version } = (value ?? {}) as Record<string, unknown>;
  return typeof ns === 'string' && Number.isSafeInteger(version);
}
