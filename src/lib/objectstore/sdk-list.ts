// One page of ListObjectsV2, checked: keys decoded, in order, and inside the prefix. And all of ListMultipartUploads.
import { abortOptions } from './abort-options.ts';
import { badAnswer, type S3Context } from './s3-errors.ts';
import type { LoadedClient } from './s3-client.ts';
import { normalizeEtag } from './s3-response.ts';
import { compareKeys } from './key.ts';
import type { ObjectListing, UploadListing } from './object-store.ts';
import type { RequestCounter } from './request-counter.ts';

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

export async function listUploads(
  site: LoadedClient & { readonly bucket: string; readonly context: S3Context; readonly counter: RequestCounter },
  request: { prefix: string; signal?: AbortSignal | undefined },
): Promise<UploadListing[]> {
  const { prefix, signal } = request;
  const uploads: UploadListing[] = [];
  for (let from: { KeyMarker: string; UploadIdMarker: string } | undefined; ;) {
    site.counter.list();
    const input = { Bucket: site.bucket, Prefix: prefix, EncodingType: 'url', ...from } as const;
    const output = await site.client.send(new site.sdk.ListMultipartUploadsCommand(input), abortOptions(signal));
    const decode = output.EncodingType === 'url' ? decodeKey : (key: string): string => key;
    for (const { Key, UploadId, Initiated } of output.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) {
        throw badAnswer('listed an upload without a key, id or time', site.context);
      }
      uploads.push({ key: decode(Key), uploadId: UploadId, begunAtMs: Initiated.getTime() });
    }
    if (!output.IsTruncated) return uploads;
    const next = { KeyMarker: decode(output.NextKeyMarker ?? ''), UploadIdMarker: output.NextUploadIdMarker ?? '' };
    if (next.KeyMarker === '' || (next.KeyMarker === from?.KeyMarker && next.UploadIdMarker === from.UploadIdMarker)) {
      throw badAnswer('did not say where a listing of uploads goes on', site.context);
    }
    from = next;
  }
}

function decodeKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}
