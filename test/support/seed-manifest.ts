// A parser of manifests as strict as the Rust seed's: exactly its field names and types, nothing missing, no JSON
// tricks. What we write must pass it; fields that are ours are ignored, as serde does.
import { gunzipSync } from 'node:zlib';

export interface SeedManifest {
  version: number;
  parents: number[];
  tombstones: string[];
  created_at: number;
  files: {
    path: string;
    size: number;
    hash: string;
    page_table: { page_id: number; off: number; len: number; crc32c: number }[];
    storage: { key: string; etag: string | null; sse: string | null };
  }[];
}

type Check = (value: unknown, where: string) => void;

function fail(where: string, wanted: string, value: unknown): never {
  throw new Error(`${where}: ${wanted} wanted, got ${JSON.stringify(value)}`);
}

function unsigned(bits: number): Check {
  return (value, where) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
      fail(where, `u${bits}`, value);
    }
  };
}

const text: Check = (value, where) => {
  if (typeof value !== 'string') fail(where, 'string', value);
};

const optionalText: Check = (value, where) => {
  if (value !== null) text(value, where);
};

function list(element: Check): Check {
  return (value, where) => {
    if (!Array.isArray(value)) fail(where, 'array', value);
    for (const [index, item] of value.entries()) element(item, `${where}[${index}]`);
  };
}

function struct(fields: Record<string, Check>): Check {
  return (value, where) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(where, 'object', value);
    for (const [name, check] of Object.entries(fields)) {
      if (!(name in value)) fail(`${where}.${name}`, 'a field', undefined);
      check((value as Record<string, unknown>)[name], `${where}.${name}`);
    }
  };
}

const manifest = struct({
  version: unsigned(64),
  parents: list(unsigned(64)),
  tombstones: list(text),
  created_at: unsigned(64),
  files: list(
    struct({
      path: text,
      size: unsigned(64),
      hash: text,
      page_table: list(struct({ page_id: unsigned(32), off: unsigned(64), len: unsigned(32), crc32c: unsigned(32) })),
      storage: struct({ key: text, etag: optionalText, sse: optionalText }),
    }),
  ),
});

/** @throws where the seed would refuse the manifest */
export function parseSeedManifest(gzip: Uint8Array): SeedManifest {
  const value: unknown = JSON.parse(gunzipSync(gzip).toString('utf8'));
  manifest(value, 'manifest');
  return value as SeedManifest;
}
