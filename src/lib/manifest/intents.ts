// Publishers and gc keep out of each other's way here. A publisher writes an intent before it looks at or writes any
// object, then waits while a gc mark is there; gc writes its mark first and then looks for live intents. Each writes
// before it reads, so of two at once at least one sees the other. Leases: heartbeats, by the store's clock for others,
// by the uptime of our machine for ourselves: it counts the time in which the machine slept, and nobody sets it.
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { headIfThere } from '../objectstore/head-if-there.ts';
import type { ObjectStore, PutCondition } from '../objectstore/object-store.ts';
import { gcMarkKey, intentKey } from './key-layout.ts';

/** An intent or mark whose object is older than this, by the store's clock, belongs to a process that died. */
export const LEASE_MS = 15 * 60_000;
const HEARTBEAT_MS = 60_000;
/** A holder that could not renew for so long must stop: the rest of the lease is for clocks and slow requests. */
const LEASE_MS_TRUSTED = LEASE_MS / 2;
const GC_POLL_MS = 500;

export interface IntentDeps {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** A lease on an object that says "I am at work": renewed in the background until it is closed. */
export class Lease {
  readonly #deps: IntentDeps;
  readonly #key: string;
  readonly #body: Buffer;
  readonly #stop = new AbortController();
  /** When the request was sent that renewed it last; by `uptimeMs`. */
  #renewedAtMs: number;
  /** The longest time without a renewal. */
  #silentMs = 0;
  #renewing: Promise<void>;

  private constructor(deps: IntentDeps, sent: { readonly key: string; readonly body: Buffer; readonly atMs: number }) {
    this.#deps = deps;
    this.#key = sent.key;
    this.#body = sent.body;
    this.#renewedAtMs = sent.atMs;
    this.#renewing = this.#renewForever();
  }

  /** @returns undefined where the condition does not hold */
  static async open(
    deps: IntentDeps,
    options: { key: string; condition: PutCondition; signal?: AbortSignal | undefined },
  ): Promise<Lease | undefined> {
    const atMs = deps.clock.uptimeMs();
    const body = Buffer.from(`${JSON.stringify({ started_at: Math.floor(deps.clock.nowMs() / 1000) })}\n`);
    try {
      await deps.store.put({
        key: options.key,
        source: { kind: 'bytes', bytes: body },
        condition: options.condition,
        durable: false,
        signal: options.signal,
      });
    } catch (error) {
      if (isSeekfsError(error, 'precondition_failed')) return undefined;
      throw error;
    }
    return new Lease(deps, { key: options.key, body, atMs });
  }

  get key(): string {
    return this.#key;
  }

  /**
   * @throws version_conflict where the lease was once not renewed for so long that others may have counted us as dead:
   * what they did meanwhile no later renewal undoes
   */
  assertLive(): void {
    this.#noteSilence();
    if (this.#silentMs > LEASE_MS_TRUSTED) {
      throw new SeekfsError(
        'version_conflict',
        `this process did not renew its lease for ${Math.round(this.#silentMs / 1000)} s, so gc may have removed what it relied on; run it again`,
      );
    }
  }

  #noteSilence(): void {
    this.#silentMs = Math.max(this.#silentMs, this.#deps.clock.uptimeMs() - this.#renewedAtMs);
  }

  async #renewForever(): Promise<void> {
    const { clock, store } = this.#deps;
    for (;;) {
      try {
        await clock.sleep(HEARTBEAT_MS, this.#stop.signal);
        const sentAtMs = clock.uptimeMs();
        await store.put({
          key: this.#key,
          source: { kind: 'bytes', bytes: this.#body },
          condition: { kind: 'none' },
          durable: false,
          signal: this.#stop.signal,
        });
        this.#noteSilence();
        this.#renewedAtMs = sentAtMs;
      } catch {
        // Not renewed: `assertLive` says so when it has lasted too long.
        if (this.#stop.signal.aborted) return;
      }
    }
  }

  /** Stops the heartbeat and removes the object; one that cannot be removed expires by itself. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    await this.#deps.store.delete({ keys: [this.#key] }).catch(() => undefined);
  }
}

/**
 * Announces a publisher and waits for a running gc to finish.
 * @throws version_conflict, store_unavailable, access_denied, interrupted
 */
export async function openIntent(deps: IntentDeps, ns: string, signal?: AbortSignal): Promise<Lease> {
  const id = Buffer.from(deps.random.bytes(8)).toString('hex');
  const intent = (await Lease.open(deps, { key: intentKey(ns, id), condition: { kind: 'none' }, signal }))!;
  try {
    await waitForGc(deps, ns, intent, signal);
    return intent;
  } catch (error) {
    await intent.close();
    throw error;
  }
}

/**
 * A mark is passed over when it is a whole lease older than our own intent, by the store's clock, or when it has not
 * moved for a whole lease while we waited: its gc died.
 */
async function waitForGc(deps: IntentDeps, ns: string, intent: Lease, signal?: AbortSignal): Promise<void> {
  let seen: { modifiedAtMs: number; sinceMs: number } | undefined;
  for (;;) {
    const modifiedAtMs = (await headIfThere(deps.store, gcMarkKey(ns), signal))?.modifiedAtMs;
    if (modifiedAtMs === undefined) return;
    const nowMs = deps.clock.monotonicMs();
    if (!seen) {
      const ownMs = (await headIfThere(deps.store, intent.key, signal))?.modifiedAtMs;
      if (ownMs !== undefined && ownMs - modifiedAtMs > LEASE_MS) return;
    }
    if (seen?.modifiedAtMs !== modifiedAtMs) seen = { modifiedAtMs, sinceMs: nowMs };
    if (nowMs - seen.sinceMs > LEASE_MS) return;
    await deps.clock.sleep(GC_POLL_MS, signal);
  }
}
