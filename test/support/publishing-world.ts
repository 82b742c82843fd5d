// The small world in which publishing is explored: a namespace with an old version that gc may remove, publishers that
// put files (one takes up an object that gc would like to remove, one replaces a file that a reader may be reading), gc,
// and a reader that pins what it reads. Knows what must hold in every state.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import { silentLogger } from '../../src/lib/base/log.ts';
import { parseHead } from '../../src/lib/manifest/head.ts';
import { headKey, manifestKey, parseManifestKey, pinsPrefix } from '../../src/lib/manifest/key-layout.ts';
import { pinVersion } from '../../src/lib/manifest/pinned.ts';
import { setPin } from '../../src/lib/manifest/pins.ts';
import { put, type PutDeps } from '../../src/lib/manifest/put.ts';
import { collectRemote } from '../../src/lib/manifest/remote-gc.ts';
import { removeFiles } from '../../src/lib/manifest/remove.ts';
import type { ObjectStore } from '../../src/lib/objectstore/object-store.ts';
import { ActorTree, type Actor, type ActorPlace, type Outcome } from './actor-tree.ts';
import { carryOut, type ModelStore } from './model-store.ts';
import type { SeedManifest } from './seed-manifest.ts';
import type { Model } from './state-explorer.ts';

const NS = 'dev';

function depsOf(place: ActorPlace): PutDeps {
  return { ...place, cachePath: undefined, log: silentLogger, unsafePublish: false, disk: nodeDisk };
}

/** Puts local files into the namespace, under their own names. */
function putter(name: string, files: readonly string[], seed: number): Actor {
  return { name, seed, run: (place) => put(depsOf(place), { ns: NS, sources: files, pageSizeBytes: 65_536 }) };
}

function collector(seed: number): Actor {
  return {
    name: 'gc',
    seed,
    run: (place) => collectRemote(depsOf(place), { ns: NS, keep: 1, graceMs: 0, dryRun: false }),
  };
}

/** Opens the current version, pins it, and reads all its files. What fails once the pin is set is a broken promise. */
const reader: Actor = {
  name: 'reader',
  seed: 8,
  run: async (place) => {
    const deps = depsOf(place);
    const version = await pinVersion(deps, NS, { kind: 'head' });
    await setPin(deps, { ns: NS, name: 'reader', version: version.version });
    for await (const { storage, sizeBytes } of version.list()) {
      const range = { off: 0, len: sizeBytes };
      const request = { key: storage.key, range, ifMatch: storage.etag, purpose: 'file' } as const;
      await place.store.getRange(request, { write: () => undefined });
    }
    return version.version;
  },
};

export type ActorName = 'put k' | 'put x' | 'gc' | 'reader';

function actorsIn(directory: string): Record<ActorName, Actor> {
  return {
    'put k': putter('put k', [join(directory, 'new/k')], 3),
    'put x': putter('put x', [join(directory, 'x')], 4),
    gc: collector(9),
    reader,
  };
}

/** Breaks an actor: its requests go through `break`. */
export interface Mutation {
  readonly actor: ActorName;
  readonly break: (store: ObjectStore) => ObjectStore;
}

function mutated(actor: Actor, mutation: Mutation | undefined): Actor {
  if (mutation?.actor !== actor.name) return actor;
  return { ...actor, run: (place) => actor.run({ ...place, store: mutation.break(place.store) }) };
}

function readText(store: ModelStore, key: string): Buffer | undefined {
  return store.objects.get(key)?.bytes;
}

const manifests = new Map<string, SeedManifest>();

function manifestOf(store: ModelStore, version: number): SeedManifest | undefined {
  const object = store.objects.get(manifestKey(NS, version));
  if (!object) return undefined;
  let manifest = manifests.get(object.etag);
  if (!manifest) {
    manifest = JSON.parse(gunzipSync(object.bytes).toString()) as SeedManifest;
    manifests.set(object.etag, manifest);
  }
  return manifest;
}

function headOf(store: ModelStore): { version: number; digest: string | undefined } {
  const bytes = readText(store, headKey(NS));
  if (!bytes) throw new Error('there is no HEAD');
  return parseHead(bytes.toString());
}

/** What must hold whenever somebody looks. */
function checkStore(store: ModelStore): void {
  const { version, digest } = headOf(store);
  const bytes = readText(store, manifestKey(NS, version));
  if (!bytes) throw new Error(`HEAD points to version ${version}, which is missing`);
  if (digest !== `sha256:${createHash('sha256').update(bytes).digest('hex')}`) {
    throw new Error(`HEAD says that version ${version} has the digest ${digest}`);
  }
  for (const key of store.objects.keys()) {
    const number = parseManifestKey(NS, key)?.version;
    if (number === undefined) continue;
    const manifest = manifestOf(store, number)!;
    if (number > version + 1) throw new Error(`version ${number} was made before HEAD was at ${number - 1}`);
    const parents = number === 1 ? [] : [number - 1];
    if (JSON.stringify(manifest.parents) !== JSON.stringify(parents)) throw new Error(`parents of ${number}`);
    for (const { path, storage } of manifest.files) {
      if (store.objects.get(storage.key)?.etag !== storage.etag) {
        throw new Error(`version ${number} has lost the object of ${path}`);
      }
    }
  }
  for (const [key, { bytes: pin }] of store.objects) {
    if (!key.startsWith(pinsPrefix(NS))) continue;
    const pinned = parseHead(pin.toString()).version;
    if (!manifestOf(store, pinned)) throw new Error(`version ${pinned} is pinned and lost`);
  }
}

function checkChange(before: ModelStore, after: ModelStore): void {
  const was = headOf(before).version;
  const is = headOf(after).version;
  if (is < was || is > was + 1) throw new Error(`HEAD went from ${was} to ${is}`);
  for (let version = 1; version <= was + 1; version += 1) {
    const old = before.objects.get(manifestKey(NS, version));
    const now = after.objects.get(manifestKey(NS, version));
    if (old && now && old.etag !== now.etag) throw new Error(`version ${version} was overwritten`);
    if (!old && now && version <= was) throw new Error(`version ${version} was made anew behind HEAD`);
  }
}

/** With which errors an actor may end: gc gives way, and a reader may be too late to pin what it opened. */
const MAY_FAIL: Readonly<Record<string, readonly string[]>> = { gc: ['locked'], reader: ['version_not_found'] };

/** Local files k, x and late, and another k in a directory `new`. */
export async function writeWorldFiles(directory: string): Promise<void> {
  await mkdir(join(directory, 'new'));
  for (const name of ['k', 'x', 'late', 'new/k']) await writeFile(join(directory, name), `content of ${name}`);
}

/** A world in which k and x were published, and then x removed: version 1 has it, version 2 has not. */
export async function publishingWorld(
  directory: string,
  names: readonly ActorName[],
  options: { readonly faultsMax: number; readonly mutation?: Mutation | undefined },
): Promise<Model> {
  const all = actorsIn(directory);
  let begin: ModelStore = { objects: new Map(), time: 0 };
  const past: Actor[] = [
    putter('past', [join(directory, 'k'), join(directory, 'x')], 1),
    { name: 'removal', seed: 2, run: (place) => removeFiles(depsOf(place), { ns: NS, paths: ['x'] }) },
  ];
  for (const actor of past) begin = await runAlone(begin, actor);
  const checkState = (store: ModelStore, outcomes: ReadonlyMap<string, Outcome>): void => {
    const head = manifestOf(store, headOf(store).version)!;
    for (const [name, outcome] of outcomes) {
      if (outcome.kind === 'done') {
        const path = /^put (.+)$/.exec(name)?.[1];
        if (path !== undefined && !head.files.some((file) => file.path === path)) {
          throw new Error(`${path} was published and is lost`);
        }
        continue;
      }
      const code = String(outcome.error.code);
      if (options.faultsMax > 0 && code === 'store_unavailable') continue;
      if (!MAY_FAIL[name]?.includes(code)) throw new Error(`${name} failed: ${outcome.error.message}`);
    }
  };
  return {
    ns: NS,
    actors: names.map((name) => mutated(all[name], options.mutation)),
    // A lease later, so that what was written is older than a grace period of nothing.
    begin: { ...begin, time: 1 },
    checkStore,
    checkChange,
    checkState,
    successors: [putter('put late', [join(directory, 'late')], 5), collector(6)],
  };
}

async function runAlone(begin: ModelStore, actor: Actor): Promise<ModelStore> {
  let store = begin;
  const tree = await new ActorTree(actor).open();
  let id = 0;
  for (let node = tree.nodes[id]!; node.request; node = tree.nodes[id]!) {
    const done = carryOut(store, node.request);
    store = done.store;
    id = await tree.next(id, done.answer);
  }
  const outcome = tree.nodes[id]!.outcome!;
  if (outcome.kind === 'failed') throw new Error(outcome.error.message);
  return store;
}
