// POST /readv: many extents of one version in one answer, concatenated, or framed so that one bad extent does not fail
// the rest. Extents are planned together by the reader; framed ones that fail are asked for again one by one.
import { clipRange } from '../base/byte-range.ts';
import { SeekfsError } from '../base/errors.ts';
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
import type { MemoryGovernor, Slab } from '../base/memory.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { Extent, Reader } from '../read/reader.ts';
import type { Activity } from './activity.ts';
import { publicError } from './answer-error.ts';
import type { Exchange } from './exchange.ts';
import { encodeFrameHead, FRAMES_CONTENT_TYPE } from './frames.ts';
import { packCached } from './packing.ts';
import { Refusal } from './refusal.ts';

export interface ReadvContext {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly responseBytesMax: number;
  readonly held: HeldAllowance;
  readonly memory: MemoryGovernor;
  readonly activity: Activity;
}

/**
 * How much of framed extents may be held back until they are whole, over all requests: an eighth of the memory, so
 * that two half-held answers never wait for each other. What does not fit is sent as it comes.
 */
export class HeldAllowance {
  #freeBytes: number;

  constructor(memory: MemoryGovernor) {
    this.#freeBytes = memory.limitBytes / 8;
  }

  tryTake(bytes: number): boolean {
    if (bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
  }
}

/** An extent that exists, clipped at the end of its file. */
interface Found {
  readonly index: number;
  readonly entry: FileEntry;
  readonly extent: Extent;
}

function find(version: PinnedVersion, extent: Extent, index: number): MaybePromise<Found> {
  return andThen(version.lookup(extent.path), (entry) => {
    const { off, len } = clipRange(extent, entry.sizeBytes);
    return { index, entry, extent: { path: extent.path, off, len } };
  });
}

/** @throws usage (413), path_not_found, range_not_satisfiable, and what `readv` of the reader throws */
export async function answerReadv(
  exchange: Exchange,
  extents: readonly Extent[],
  context: ReadvContext,
): Promise<void> {
  const { reader, version, responseBytesMax } = context;
  const found: Found[] = [];
  let totalBytes = 0;
  for (const [index, asked] of extents.entries()) {
    const promised = find(version, asked, index);
    const one = promised instanceof Promise ? await promised : promised;
    found.push(one);
    totalBytes += one.extent.len;
    if (totalBytes > responseBytesMax) {
      throw new Refusal('usage', `the extents are over ${responseBytesMax} bytes; ask for fewer, or for frames`, {
        status: 413,
      });
    }
  }
  for (const { extent } of found) context.activity.note(version.ns, extent.path, extent.len);
  const sendHead = (): void =>
    exchange.head(200, [
      'Content-Type',
      'application/octet-stream',
      'Content-Length',
      String(totalBytes),
      'X-Seekfs-Version',
      String(version.version),
    ]);
  if (totalBytes === 0) {
    sendHead();
    exchange.response.end();
    return;
  }
  let restBytes = totalBytes;
  let next = 0;
  for (;;) {
    const { slab, end } = packCached(context, found, next);
    next = end;
    if (!slab) break;
    if (restBytes === totalBytes) sendHead();
    restBytes -= slab.bytes.length;
    const wait = exchange.send(slab, restBytes === 0);
    if (wait) await wait;
    if (restBytes === 0) return;
  }
  const rest = found.slice(next).map(({ extent }) => extent);
  for await (const slab of reader.readv(version, rest, { signal: exchange.signal })) {
    if (restBytes === totalBytes) sendHead();
    restBytes -= slab.bytes.length;
    if (restBytes < 0) {
      slab.release();
      break;
    }
    const wait = exchange.send(slab, restBytes === 0);
    if (wait) await wait;
    if (restBytes === 0) return;
  }
  throw new SeekfsError('unexpected', `the reader was off by ${restBytes} bytes of ${extents.length} extents`);
}

/** Frames in request order; the answer is chunked, since an extent's failure changes its length. */
export async function answerFrames(
  exchange: Exchange,
  extents: readonly Extent[],
  context: ReadvContext,
): Promise<void> {
  const { version } = context;
  const outcomes: (Found | { readonly index: number; readonly error: unknown })[] = [];
  for (const [index, extent] of extents.entries()) {
    try {
      outcomes.push(await find(version, extent, index));
    } catch (error) {
      outcomes.push({ index, error });
    }
  }
  exchange.head(200, ['Content-Type', FRAMES_CONTENT_TYPE, 'X-Seekfs-Version', String(version.version)]);
  for (const outcome of outcomes) {
    if ('entry' in outcome) context.activity.note(version.ns, outcome.extent.path, outcome.extent.len);
  }
  const source = new ExtentSource(
    context,
    exchange,
    outcomes.filter((outcome) => 'entry' in outcome),
  );
  try {
    for (const outcome of outcomes) {
      if ('entry' in outcome) await sendExtent(exchange, outcome, source, context.held);
      else await sendError(exchange, outcome.index, outcome.error);
    }
  } finally {
    await source.close();
  }
  exchange.response.end();
}

async function sendError(exchange: Exchange, index: number, thrown: unknown): Promise<void> {
  exchange.throwIfGone();
  const error = publicError(thrown, exchange.id);
  const json = Buffer.from(JSON.stringify(error));
  await exchange.sendText(
    Buffer.concat([encodeFrameHead({ index, status: error.httpStatus, lengthBytes: json.length }), json]),
  );
}

/** Held back while the allowance lasts: a failure in the middle of what is held is still a frame of its own. */
async function sendExtent(exchange: Exchange, found: Found, source: ExtentSource, held: HeldAllowance): Promise<void> {
  const { index, extent } = found;
  const frameHead = encodeFrameHead({ index, status: 200, lengthBytes: extent.len });
  if (extent.len === 0) {
    await exchange.sendText(frameHead);
    return;
  }
  const heldSlabs: Slab[] = [];
  let heldBytes = 0;
  let isSent = false;
  let restBytes = extent.len;
  const flush = async (): Promise<void> => {
    if (!isSent) exchange.sendAhead(frameHead);
    isSent = true;
    while (heldSlabs.length > 0) {
      const wait = exchange.send(heldSlabs.shift()!, false);
      if (wait) await wait;
    }
    held.give(heldBytes);
    heldBytes = 0;
  };
  try {
    while (restBytes > 0) {
      const slab = await source.next(found, extent.len - restBytes);
      heldSlabs.push(slab);
      restBytes -= slab.bytes.length;
      const isWhole = restBytes === 0;
      if (!isWhole && !isSent && held.tryTake(slab.bytes.length)) heldBytes += slab.bytes.length;
      else await flush();
    }
  } catch (error) {
    if (isSent) throw error;
    await sendError(exchange, index, error);
  } finally {
    for (const slab of heldSlabs) slab.release();
    held.give(heldBytes);
  }
}

/** Slabs of the extents one after the other: from one plan for all until something fails, then extent by extent. */
class ExtentSource {
  readonly #context: ReadvContext;
  readonly #exchange: Exchange;
  #joint: AsyncIterator<Slab> | undefined;
  #single: { readonly index: number; readonly slabs: AsyncIterator<Slab> } | undefined;

  constructor(context: ReadvContext, exchange: Exchange, found: readonly Found[]) {
    this.#context = context;
    this.#exchange = exchange;
    const extents = found.map(({ extent }) => extent).filter(({ len }) => len > 0);
    const { reader, version } = context;
    this.#joint =
      extents.length === 0
        ? undefined
        : reader.readv(version, extents, { signal: exchange.signal })[Symbol.asyncIterator]();
  }

  /** The next slab of the extent, of which `doneBytes` were given already. */
  async next(found: Found, doneBytes: number): Promise<Slab> {
    if (this.#joint) {
      try {
        return take(await this.#joint.next(), found, doneBytes);
      } catch {
        this.#exchange.throwIfGone();
        // Whichever extent it was that failed: this one is asked for by itself, and so are those after it.
        await this.close();
      }
    }
    if (this.#single?.index !== found.index) {
      await this.close();
      const { reader, version } = this.#context;
      const rest = { off: found.extent.off + doneBytes, len: found.extent.len - doneBytes };
      const slabs = reader.stream(version, found.entry, rest, { signal: this.#exchange.signal });
      this.#single = { index: found.index, slabs: slabs[Symbol.asyncIterator]() };
    }
    return take(await this.#single.slabs.next(), found, doneBytes);
  }

  async close(): Promise<void> {
    const open = [this.#joint, this.#single?.slabs];
    this.#joint = undefined;
    this.#single = undefined;
    for (const slabs of open) await slabs?.return?.();
  }
}

function take(result: IteratorResult<Slab>, { extent }: Found, doneBytes: number): Slab {
  if (result.done) throw new SeekfsError('unexpected', `the reader ended before ${extent.path} did`);
  if (doneBytes + result.value.bytes.length <= extent.len) return result.value;
  result.value.release();
  throw new SeekfsError('unexpected', `the reader gave a slab over the end of an extent of ${extent.path}`);
}
