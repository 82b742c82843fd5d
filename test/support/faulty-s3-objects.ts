// The objects of the scripted S3 server, and the right answers to requests for them: as much of S3 as the engines use.
// `conditions` makes it a store that ignores conditional writes, or that wants If-Match without quotes.
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { crc32c, loadCrc32c } from '../../src/lib/base/crc32c.ts';
import { compareKeys } from '../../src/lib/objectstore/key.ts';

await loadCrc32c();

export interface Answer {
  readonly status: number;
  /** An empty value leaves the header out. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Call {
  readonly operation: string;
  readonly key: string;
  readonly query: URLSearchParams;
}

interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly modifiedAt: Date;
}

const EMPTY = Buffer.alloc(0);
const LIST_KEYS_MAX = 1000;

function xml(body: string): Buffer {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`);
}

/** As S3 writes a CRC32C. */
function crcText(bytes: Buffer): string {
  const text = Buffer.alloc(4);
  text.writeUInt32BE(crc32c(bytes));
  return text.toString('base64');
}

export class FaultyObjects {
  readonly #objects = new Map<string, Stored>();
  readonly #uploads = new Map<string, Map<number, Buffer>>();
  readonly #begun = new Map<string, { readonly key: string; readonly at: Date }>();
  readonly #checkedUploads = new Set<string>();
  /** `ignored`: as s3rver does; `unquoted`: as Ceph compares If-Match. */
  conditions: 'kept' | 'ignored' | 'unquoted' | 'only If-None-Match' = 'kept';
  /** Whether it compares parts with the CRC32C that comes with them, as S3 does and Ceph of 2021 does not. */
  checksums: 'crc32c' | 'unknown' = 'unknown';
  /** What happens to a part on its way here. */
  onPart: ((partNumber: number, bytes: Buffer) => unknown) | undefined;
  /** Of one answer that lists parts. */
  partsPerPage = 1000;
  /** Of one answer that lists uploads. */
  uploadsPerPage = 1000;
  #uploadsBegun = 0;

  set(key: string, bytes: Buffer, etag = `"${createHash('md5').update(bytes).digest('hex')}"`): string {
    this.#objects.set(key, { bytes, etag, modifiedAt: new Date() });
    return etag;
  }

  get(key: string): Buffer | undefined {
    return this.#objects.get(key)?.bytes;
  }

  get openUploads(): number {
    return this.#uploads.size;
  }

  /** As another client would, so long ago. */
  beginUpload(key: string, ageMs = 0): string {
    this.#uploadsBegun += 1;
    const id = String(this.#uploadsBegun);
    this.#uploads.set(id, new Map());
    this.#begun.set(id, { key, at: new Date(Date.now() - ageMs) });
    return id;
  }

  /** As another client's abort would, at once. */
  abortUploads(): void {
    this.#uploads.clear();
  }

  /** Path style, /bucket/key, or with the bucket in the host name. */
  parse(request: IncomingMessage): Call {
    // A proxy is asked for the whole URL.
    const [asked = '', search = ''] = (request.url ?? '').replace(/^http:\/\/[^/]+/, '').split('?');
    const path = request.headers.host?.startsWith('bucket.') ? `/bucket${asked}` : asked;
    const slash = path.indexOf('/', 1);
    const key = slash < 0 ? '' : decodeURIComponent(path.slice(slash + 1));
    const query = new URLSearchParams(search);
    const { method } = request;
    if (key === '' && query.has('uploads')) return { operation: 'UPLOADS', key, query };
    if (key === '') return { operation: method === 'POST' ? 'DELETE' : 'LIST', key, query };
    if (method === 'POST') return { operation: query.has('uploads') ? 'CREATE' : 'COMPLETE', key, query };
    if (method === 'PUT') return { operation: query.has('partNumber') ? 'PART' : 'PUT', key, query };
    if (method === 'DELETE') return { operation: query.has('uploadId') ? 'ABORT' : 'DELETE', key, query };
    if (method === 'GET' && query.has('uploadId')) return { operation: 'PARTS', key, query };
    return { operation: method ?? '', key, query };
  }

  error(status: number, code: string, message: string): Answer {
    const body = xml(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
    return { status, headers: { 'content-type': 'application/xml' }, body };
  }

  answer(call: Call, request: IncomingMessage, body: Buffer): Answer {
    const { operation, key, query } = call;
    switch (operation) {
      case 'GET':
      case 'HEAD':
        return this.#read(key, request);
      case 'LIST':
        return this.#list(query);
      case 'PUT':
        return this.#refused(key, request) ?? { status: 200, headers: { etag: this.set(key, body) }, body: EMPTY };
      case 'CREATE': {
        const id = this.beginUpload(key);
        const answer = this.#xml(
          `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
        const isChecked = this.checksums === 'crc32c' && request.headers['x-amz-checksum-algorithm'] === 'CRC32C';
        if (!isChecked) return answer;
        this.#checkedUploads.add(id);
        return { ...answer, headers: { ...answer.headers, 'x-amz-checksum-algorithm': 'CRC32C' } };
      }
      case 'PART': {
        const parts = this.#uploads.get(query.get('uploadId') ?? '');
        if (!parts) return this.error(404, 'NoSuchUpload', 'no such upload');
        const partNumber = Number(query.get('partNumber'));
        this.onPart?.(partNumber, body);
        const isChecked = this.#checkedUploads.has(query.get('uploadId')!);
        if (isChecked && request.headers['x-amz-checksum-crc32c'] !== crcText(body)) {
          return this.error(400, 'BadDigest', 'the CRC32C is not that of the part');
        }
        parts.set(partNumber, body);
        return { status: 200, headers: { etag: `"${createHash('md5').update(body).digest('hex')}"` }, body: EMPTY };
      }
      case 'UPLOADS':
        return this.#listUploads(query);
      case 'PARTS':
        return this.#listParts(query);
      case 'COMPLETE': {
        const parts = this.#uploads.get(query.get('uploadId') ?? '');
        if (!parts) return this.error(404, 'NoSuchUpload', 'no such upload');
        const refused = this.#refused(key, request);
        if (refused) return refused;
        const named = [...body.toString().matchAll(/<ChecksumCRC32C>([^<]*)</g)].map((match) => match[1]);
        const isChecked = this.#checkedUploads.has(query.get('uploadId')!);
        const wanted = isChecked ? [...parts].sort(([a], [b]) => a - b).map(([, bytes]) => crcText(bytes)) : [];
        if (named.join() !== wanted.join()) return this.error(400, 'InvalidPart', 'the checksums of the parts differ');
        this.#uploads.delete(query.get('uploadId')!);
        const ordered = [...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
        const digests = Buffer.concat(ordered.map((bytes) => createHash('md5').update(bytes).digest()));
        const digest = createHash('md5').update(digests).digest('hex');
        const etag = this.set(key, Buffer.concat(ordered), `"${digest}-${ordered.length}"`);
        return this.#xml(`<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`);
      }
      case 'ABORT':
        this.#uploads.delete(query.get('uploadId') ?? '');
        return { status: 204, headers: {}, body: EMPTY };
      case 'DELETE': {
        const text = body.toString();
        const keys =
          key === '' ? [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => decodeXml(match[1]!)) : [key];
        for (const each of keys) this.#objects.delete(each);
        return key === '' ? this.#xml('<DeleteResult></DeleteResult>') : { status: 204, headers: {}, body: EMPTY };
      }
      default:
        return this.error(405, 'MethodNotAllowed', operation);
    }
  }

  #xml(body: string): Answer {
    return { status: 200, headers: { 'content-type': 'application/xml' }, body: xml(body) };
  }

  #listParts(query: URLSearchParams): Answer {
    const parts = this.#uploads.get(query.get('uploadId') ?? '');
    if (!parts) return this.error(404, 'NoSuchUpload', 'no such upload');
    const after = Number(query.get('part-number-marker') ?? 0);
    const left = [...parts].filter(([partNumber]) => partNumber > after).sort(([a], [b]) => a - b);
    const page = left.slice(0, this.partsPerPage);
    const listed = page.map(
      ([partNumber, bytes]) =>
        `<Part><PartNumber>${partNumber}</PartNumber><ETag>&quot;${createHash('md5').update(bytes).digest('hex')}&quot;</ETag><Size>${bytes.length}</Size></Part>`,
    );
    const marker = page.length < left.length ? `<NextPartNumberMarker>${page.at(-1)![0]}</NextPartNumberMarker>` : '';
    const isChecked = this.#checkedUploads.has(query.get('uploadId')!);
    const algorithm = isChecked ? '<ChecksumAlgorithm>CRC32C</ChecksumAlgorithm>' : '';
    return this.#xml(
      `<ListPartsResult>${algorithm}<IsTruncated>${page.length < left.length}</IsTruncated>${marker}${listed.join('')}</ListPartsResult>`,
    );
  }

  #listUploads(query: URLSearchParams): Answer {
    const marker = [query.get('key-marker') ?? '', query.get('upload-id-marker') ?? ''] as const;
    const left = [...this.#uploads.keys()]
      .map((id) => ({ id, ...this.#begun.get(id)! }))
      .filter(({ key }) => key.startsWith(query.get('prefix') ?? ''))
      .sort((a, b) => compareKeys(a.key, b.key) || compareKeys(a.id, b.id))
      .filter(({ key, id }) => (compareKeys(key, marker[0]) || compareKeys(id, marker[1])) > 0);
    const page = left.slice(0, this.uploadsPerPage);
    const listed = page.map(
      ({ id, key, at }) =>
        `<Upload><Key>${encodeURIComponent(key)}</Key><UploadId>${id}</UploadId><Initiated>${at.toISOString()}</Initiated></Upload>`,
    );
    const last = page.at(-1);
    const isTruncated = page.length < left.length;
    const next = isTruncated
      ? `<NextKeyMarker>${encodeURIComponent(last!.key)}</NextKeyMarker><NextUploadIdMarker>${last!.id}</NextUploadIdMarker>`
      : '';
    return this.#xml(
      `<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>${isTruncated}</IsTruncated>${next}${listed.join('')}</ListMultipartUploadsResult>`,
    );
  }

  #read(key: string, request: IncomingMessage): Answer {
    const stored = this.#objects.get(key);
    if (!stored) return this.error(404, 'NoSuchKey', 'no such key');
    const { bytes, etag, modifiedAt } = stored;
    const ifMatch = request.headers['if-match'];
    if (ifMatch !== undefined && ifMatch !== etag) return this.error(412, 'PreconditionFailed', 'not that ETag');
    const headers = { etag, 'last-modified': modifiedAt.toUTCString(), 'accept-ranges': 'bytes' };
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!range) return { status: 200, headers, body: bytes };
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    if (from >= bytes.length) return this.error(416, 'InvalidRange', 'no such range');
    const contentRange = `bytes ${from}-${to}/${bytes.length}`;
    return { status: 206, headers: { ...headers, 'content-range': contentRange }, body: bytes.subarray(from, to + 1) };
  }

  #refused(key: string, request: IncomingMessage): Answer | undefined {
    if (this.conditions === 'ignored') return undefined;
    const current = this.#objects.get(key);
    const failed = this.error(412, 'PreconditionFailed', 'a condition does not hold');
    if (request.headers['if-none-match'] === '*') return current ? failed : undefined;
    const ifMatch = request.headers['if-match'];
    if (ifMatch === undefined || this.conditions === 'only If-None-Match') return undefined;
    if (!current) return this.error(404, 'NoSuchKey', 'no such key');
    const expected = this.conditions === 'unquoted' ? current.etag.replaceAll('"', '') : current.etag;
    return ifMatch === expected ? undefined : failed;
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const keys = [...this.#objects.keys()]
      .filter((key) => key.startsWith(prefix) && (after === '' || compareKeys(key, after) > 0))
      .sort(compareKeys);
    const page = keys.slice(0, LIST_KEYS_MAX);
    const contents = page.map((key) => {
      const { bytes, etag, modifiedAt } = this.#objects.get(key)!;
      return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${modifiedAt.toISOString()}</LastModified><ETag>${etag.replaceAll('"', '&quot;')}</ETag><Size>${bytes.length}</Size></Contents>`;
    });
    const more = keys.length > page.length;
    const token = more ? `<NextContinuationToken>${encodeXml(page.at(-1)!)}</NextContinuationToken>` : '';
    return this.#xml(
      `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${token}${contents.join('')}</ListBucketResult>`,
    );
  }
}

function encodeXml(text: string): string {
  return text.replaceAll(/[^\w/.-]/g, (character) => `&#${character.codePointAt(0)};`);
}

function decodeXml(text: string): string {
  return text
    .replaceAll(/&#x([0-9a-f]+);/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}
