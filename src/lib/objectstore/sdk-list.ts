// One page of ListObjectsV2, checked: keys decoded, in order, and inside the prefix.
import { abortOptions } from './abort-options.ts';
import { badAnswer, type S3Context } from './s3-errors.ts';
import type { LoadedClient } from './s3-client.ts';
import { normalizeEtag } from './s3-response.ts';
import { compareKeys } from './key.ts';
import type { ObjectListing } from './object-store.ts';

export interface ListedPage {
  readonly objects: readonly ObjectListing[];
  /** Undefined: there are no more. */
  readonly nextToken: string | undefined;
}

export async function listObjects(
  site: LoadedClient & { readonly bucket: string; readonly context: S3Context },
  request: {
    prefix: string;
    startAfter: string | undefined;
    token: string | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<ListedPage> {
  const { prefix, startAfter, token, signal } = request;
  const command = new site.sdk.ListObjectsV2Command({
    Bucket: site.bucket,
    Prefix: prefix,
    // XML cannot carry every character that a key can.
    EncodingType: 'url',
    ...(token === undefined
      ? startAfter === undefined
        ? {}
        : { StartAfter: startAfter }
      : { ContinuationToken: token }),
  });
  const output = await site.client.send(command, abortOptions(signal));
  const decode = output.EncodingType === 'url' ? decodeKey : (key: string): string => key;
  const objects: ObjectListing[] = [];
  let previous = startAfter;
  for (const object of output.Contents ?? []) {
    if (object.Key === undefined) throw badAnswer('listed an object without a key', site.context);
    const key = decode(object.Key);
    if (!key.startsWith(prefix) || (previous !== undefined && compareKeys(key, previous) <= 0)) {
      throw badAnswer(`listed "${key}" out of order`, site.context);
    }
    previous = key;
    objects.push({
      key,
      sizeBytes: object.Size ?? 0,
      etag: normalizeEtag(object.ETag ?? ''),
      modifiedAtMs: object.LastModified?.getTime() ?? 0,
    });
  }
  if (!output.IsTruncated) return { objects, nextToken: undefined };
  const nextToken = output.NextContinuationToken;
  if (nextToken === undefined || nextToken === token)
    throw badAnswer('did not say where a listing goes on', site.context);
  return { objects, nextToken };
}

function decodeKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}
