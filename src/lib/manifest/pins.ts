// Named versions that gc keeps: one small object a pin.
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import { parseHead } from './head.ts';
import { openIntent, type IntentDeps } from './intents.ts';
import { checkNamespace, manifestKey, namespaceFault, pinKey, pinsPrefix } from './key-layout.ts';

const PIN_BYTES_MAX = 4096;

export interface Pin {
  readonly name: string;
  readonly version: number;
}

/** @throws usage */
function checkPinName(name: string): void {
  const fault = namespaceFault(name);
  if (fault) throw new SeekfsError('usage', `${JSON.stringify(name)} is no name of a pin: ${fault}`);
}

/**
 * Names a version, or moves the name to it. Waits for a running gc, so that the version it names stays.
 * @throws usage, version_not_found
 */
export async function setPin(
  deps: IntentDeps,
  pin: { readonly ns: string } & Pin,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { ns, name, version } = pin;
  const { signal } = options;
  checkNamespace(ns);
  checkPinName(name);
  const intent = await openIntent(deps, ns, signal);
  try {
    await deps.store.head({ key: manifestKey(ns, version), signal });
    await deps.store.put({
      key: pinKey(ns, name),
      source: { kind: 'bytes', bytes: Buffer.from(`v-${version}\n`) },
      condition: { kind: 'none' },
      durable: true,
      contentType: 'text/plain',
      signal,
    });
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) throw error;
    throw new SeekfsError('version_not_found', `namespace ${ns} has no version ${version}, so it cannot be pinned`, {
      cause: error,
      details: { ns, version },
    });
  } finally {
    await intent.close();
  }
}

/** @throws usage, object_not_found where there is no such pin */
export async function removePin(
  deps: Pick<IntentDeps, 'store'>,
  pin: { readonly ns: string; readonly name: string },
  options: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  checkNamespace(pin.ns);
  checkPinName(pin.name);
  const key = pinKey(pin.ns, pin.name);
  try {
    await deps.store.head({ key, ...options });
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) throw error;
    throw new SeekfsError('object_not_found', `namespace ${pin.ns} has no pin ${pin.name}`, {
      cause: error,
      details: { ns: pin.ns, name: pin.name },
    });
  }
  await deps.store.delete({ keys: [key], ...options });
}

/** In the order of their names. @throws manifest_invalid for a pin that names no version */
export async function listPins(
  deps: Pick<IntentDeps, 'store'>,
  ns: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Pin[]> {
  checkNamespace(ns);
  const prefix = pinsPrefix(ns);
  const pins: Pin[] = [];
  for await (const page of deps.store.list({ prefix, ...options })) {
    for (const { key } of page) {
      const object = await deps.store.getWhole({ key, sizeBytesMax: PIN_BYTES_MAX, purpose: 'meta', ...options });
      const name = key.slice(prefix.length);
      pins.push({ name, version: parseHead(object.bytes.toString('utf8'), `pin ${name} of ${ns}`).version });
    }
  }
  return pins;
}
