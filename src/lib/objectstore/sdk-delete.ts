// Deletes objects: one by one while they are few, in batches otherwise.
import { createHash } from 'node:crypto';
import { abortOptions } from './abort-options.ts';
import type { RequestCounter } from './request-counter.ts';
import type { LoadedClient } from './s3-client.ts';
import { s3Error, type S3Context } from './s3-errors.ts';

const BATCH_LENGTH_MAX = 1000;
const SINGLY_MAX = 3;
/** What the XML of a batch cannot carry. */
const NOT_IN_XML = /[\p{Cc}\uFFFE\uFFFF]/u;

export async function deleteObjects(
  site: LoadedClient & { readonly bucket: string; readonly context: S3Context; readonly counter: RequestCounter },
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { sdk, client, bucket, context, counter } = site;
  const options = abortOptions(signal);
  const few = keys.length <= SINGLY_MAX;
  const singly = few ? keys : keys.filter((key) => NOT_IN_XML.test(key));
  const together = few ? [] : keys.filter((key) => !NOT_IN_XML.test(key));
  for (const key of singly) {
    counter.delete();
    await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key }), options).catch((error: unknown) => {
      if ((error as { name?: string }).name !== 'NoSuchKey') throw error;
    });
  }
  for (let start = 0; start < together.length; start += BATCH_LENGTH_MAX) {
    const batch = together.slice(start, start + BATCH_LENGTH_MAX);
    const command = new sdk.DeleteObjectsCommand({
      Bucket: bucket,
      Delete: { Objects: batch.map((key) => ({ Key: key })), Quiet: true },
    });
    // Stores that know no CRC trailers want the digest that S3 wanted before them.
    command.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body?: string | Uint8Array; headers: Record<string, string> };
        request.headers['content-md5'] = createHash('md5')
          .update(request.body ?? '')
          .digest('base64');
        return next(args);
      },
      { step: 'build', name: 'contentMd5', priority: 'low' },
    );
    counter.delete();
    const output = await client.send(command, options);
    const failed = output.Errors?.find(({ Code }) => Code !== 'NoSuchKey');
    if (failed) {
      const failure = { status: 200, code: failed.Code ?? '', message: failed.Message ?? '' };
      throw s3Error(failure, { ...context, key: failed.Key });
    }
  }
}
