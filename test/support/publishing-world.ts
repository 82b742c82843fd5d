// The small world in which publishing is explored: a namespace with an old version that gc may remove, publishers that
// put files (one of them takes up an object that gc would like to remove), and gc. Knows what must hold at every state.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { silentLogger } from '../../src/lib/base/log.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { LEASE_MS } from '../../src/lib/manifest/intents.ts';
import { parseHead } from '../../src/lib/manifest/head.ts';
import { headKey, manifestKey } from '../../src/lib/manifest/key-layout.ts';
import { put, type PutReport } from '../../src/lib/manifest/put.ts';
import { collectRemote } from '../../src/lib/manifest/remote-gc.ts';
import { removeFiles } from '../../src/lib/manifest/remove.ts';
import { MemoryObjectStore } from '../../src/lib/objectstore/memory.ts';
import { manifestDeps } from './manifest-deps.ts';
import type { Actor, Outcome, World } from './schedule-explorer.ts';
import type { SeedManifest } from './seed-manifest.ts';

const DAY_MS = 86_400_000;
const BEGIN_MS = Date.UTC(2026, 0, 1);
const NS = 'dev';

/** Puts the local file `name`, as the path of the same name. */
export function putter(name: string, directory: string): Actor {
  return {
    name: `put ${name}`,
    run: ({ store, clock }) =>
      put(
        { ...manifestDeps(store), clock, log: silentLogger, random: seededRandom(name.charCodeAt(0)) },
        { ns: NS, sources: [join(directory, name)], pageSizeBytes: 65_536 },
      ),
  };
}

export const collector: Actor = {
  name: 'gc',
  run: ({ store, clock }) =>
    collectRemote(
      { ...manifestDeps(store), clock, random: seededRandom(99) },
      { ns: NS, keep: 1, graceMs: 0, dryRun: false },
    ),
};

class Observer {
  readonly #store: MemoryObjectStore;
  readonly #manifests = new Map<string, { etag: string; manifest: SeedManifest }>();
  #headVersion = 0;

  constructor(store: MemoryObjectStore) {
    this.#store = store;
  }

  async #get(key: string): Promise<{ etag: string; bytes: Buffer } | undefined> {
    return this.#store.getWhole({ key, sizeBytesMax: 2 ** 20, purpose: 'meta' }).catch(() => undefined);
  }

  async manifest(version: number): Promise<SeedManifest | undefined> {
    const key = manifestKey(NS, version);
    const object = await this.#get(key);
    if (!object) return undefined;
    const seen = this.#manifests.get(key);
    if (seen && seen.etag !== object.etag) throw new Error(`version ${version} was overwritten`);
    const manifest = seen?.manifest ?? (JSON.parse(gunzipSync(object.bytes).toString()) as SeedManifest);
    this.#manifests.set(key, { etag: object.etag, manifest });
    return manifest;
  }

  async head(): Promise<{ version: number; manifest: SeedManifest }> {
    const object = await this.#get(headKey(NS));
    if (!object) throw new Error('there is no HEAD');
    const { version, digest } = parseHead(object.bytes.toString());
    const manifest = await this.manifest(version);
    if (!manifest) throw new Error(`HEAD points to version ${version}, which is missing`);
    const bytes = (await this.#get(manifestKey(NS, version)))!.bytes;
    const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (digest !== actual) throw new Error(`HEAD says that version ${version} has the digest ${digest}`);
    return { version, manifest };
  }

  /** What must hold whenever somebody looks. */
  async check(): Promise<void> {
    const { version } = await this.head();
    if (version < this.#headVersion) throw new Error(`HEAD went back from ${this.#headVersion} to ${version}`);
    this.#headVersion = version;
    for (let number = 1; number <= version + 1; number += 1) {
      const manifest = await this.manifest(number);
      if (!manifest) continue;
      const parents = number === 1 ? [] : [number - 1];
      if (JSON.stringify(manifest.parents) !== JSON.stringify(parents)) throw new Error(`parents of ${number}`);
      for (const { path, storage } of manifest.files) {
        const object = await this.#store.head({ key: storage.key }).catch(() => undefined);
        if (object?.etag !== storage.etag) throw new Error(`version ${number} has lost the object of ${path}`);
      }
    }
    if (await this.manifest(version + 2))
      throw new Error(`version ${version + 2} was made before HEAD was at ${version + 1}`);
  }
}

type Change = (store: MemoryObjectStore) => Promise<unknown>;

let recorded: Promise<readonly Change[]> | undefined;

/** What was written before the world begins, recorded once: the same writes give the same ETags. */
function past(directory: string): Promise<readonly Change[]> {
  return (recorded ??= record(directory));
}

async function record(directory: string): Promise<readonly Change[]> {
  const time = { nowMs: BEGIN_MS };
  const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs, sleep: patientSleep(time) };
  const store = new MemoryObjectStore({ clock });
  const changes: Change[] = [];
  store.probeConditionalWrites = () => Promise.resolve({ ifNoneMatch: true, ifMatch: true });
  const innerPut = store.put.bind(store);
  store.put = (request) => {
    changes.push((other) => other.put(request));
    return innerPut(request);
  };
  const innerDelete = store.delete.bind(store);
  store.delete = (request) => {
    changes.push((other) => other.delete(request));
    return innerDelete(request);
  };
  const deps = { ...manifestDeps(store), clock, random: seededRandom(1) };
  await put(deps, { ns: NS, sources: [join(directory, 'x')], pageSizeBytes: 65_536 });
  await removeFiles(deps, { ns: NS, paths: ['x'] });
  return changes;
}

/**
 * A world in which `x` was published and removed again: version 1 has it, version 2 has not. In `directory` are local
 * files a, b, c, x.
 */
export async function publishingWorld(
  directory: string,
  actors: readonly Actor[],
  bounds: { faultsMax: number },
): Promise<World> {
  const time = { nowMs: BEGIN_MS };
  const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs, sleep: patientSleep(time) };
  const store = new MemoryObjectStore({ clock });
  // The probe of conditional writes is not what is explored.
  store.probeConditionalWrites = () => Promise.resolve({ ifNoneMatch: true, ifMatch: true });
  const deps = { ...manifestDeps(store), clock, random: seededRandom(1) };
  const putNow = (name: string): Promise<PutReport> =>
    put(deps, { ns: NS, sources: [join(directory, name)], pageSizeBytes: 65_536 });
  for (const change of await past(directory)) await change(store);
  time.nowMs += 2 * DAY_MS;
  const observer = new Observer(store);
  await observer.check();

  const checkEnd = async (outcomes: ReadonlyMap<string, Outcome>, trace: readonly string[]): Promise<void> => {
    try {
      const expected: string[] = [];
      for (const [name, outcome] of outcomes) {
        if (outcome.kind === 'done' && name.startsWith('put ')) expected.push(name.slice(4));
        if (outcome.kind === 'failed') checkFailure(name, outcome.error, bounds.faultsMax > 0);
      }
      // Whatever happened, who comes later is not held up, by a dead publisher or a dead gc.
      time.nowMs += LEASE_MS + 1;
      await putNow('c');
      await observer.check();
      await collector.run({ store, clock });
      await observer.check();
      const { manifest } = await observer.head();
      const paths = new Set(manifest.files.map((file) => file.path));
      for (const path of [...expected, 'c']) if (!paths.has(path)) throw new Error(`${path} was published and is lost`);
    } catch (error) {
      throw new Error(`${String(error)}\n${trace.join('\n')}`, { cause: error });
    }
  };
  return { store, time, actors, checkState: () => observer.check(), checkEnd };
}

function checkFailure(name: string, error: unknown, mayBeFault: boolean): void {
  const code = (error as { code?: string }).code ?? String(error);
  const allowed = name === 'gc' ? ['locked'] : [];
  if (mayBeFault) allowed.push('store_unavailable', 'version_conflict');
  if (!allowed.includes(code)) throw new Error(`${name} failed with ${code}`, { cause: error });
}

function patientSleep(time: { nowMs: number }): (delayMs: number, signal?: AbortSignal) => Promise<void> {
  return (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (delayMs < 60_000) {
        time.nowMs += delayMs;
        resolve();
      }
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
}
