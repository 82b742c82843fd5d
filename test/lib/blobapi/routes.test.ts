import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import { ENDPOINTS, PARAMETERS } from '../../../src/lib/blobapi/endpoints.ts';
import { LIMIT_SETTINGS } from '../../../src/lib/blobapi/limits.ts';
import { SETTINGS, type SettingRow } from '../../../src/lib/config/schema.ts';
import { ROUTES } from '../../../src/lib/blobapi/routes.ts';
import { startServer, type BlobServer } from '../../../src/lib/blobapi/server.ts';
import { ask as askUrl, errorOf, type Answer, type Ask } from '../../support/http.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';

const DOCUMENT = readFileSync(new URL('../../../docs/blob-api.md', import.meta.url), 'utf8');

let data: MemoryData;
let server: BlobServer;

beforeEach(async () => {
  data = memoryData({ dev: [{ 'a.bin': Buffer.alloc(MIB, 1), 'b.bin': Buffer.from('0123456789') }] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
});

afterEach(async () => {
  await server.close({ drainMsMax: 0 });
  expect(data.pins.closed).toBe(data.pins.opened);
});

const ask = (target: string, options?: Ask): Promise<Answer> => askUrl(server.url + target, options);
const jsonOf = (answer: Answer): unknown => JSON.parse(answer.body.toString());
const hint = (body: unknown, target = '/hints?ns=dev'): Promise<Answer> =>
  ask(target, { method: 'POST', body: JSON.stringify(body) });

describe('the tables', () => {
  test('the OpenAPI document has exactly the routes, with their methods and parameters', async () => {
    const { paths } = jsonOf(await ask('/openapi.json')) as {
      paths: Record<string, Record<string, { operationId: string; parameters: { name: string; required: boolean }[] }>>;
    };
    expect(Object.keys(paths)).toEqual([...ROUTES.keys()]);
    for (const [path, route] of ROUTES) {
      expect(Object.keys(paths[path]!)).toEqual(route.method === 'POST' ? ['post'] : ['get', 'head']);
      const operation = paths[path]![route.method.toLowerCase()]!;
      expect(operation.parameters.map(({ name }) => name)).toEqual(route.parameters);
    }
  });

  test('every error of the document has the form of errors, but for what is not ready', async () => {
    const { paths } = jsonOf(await ask('/openapi.json')) as {
      paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, unknown> }> }>>;
    };
    for (const [path, methods] of Object.entries(paths)) {
      for (const { responses } of Object.values(methods)) {
        for (const [status, { content }] of Object.entries(responses)) {
          const isError = JSON.stringify(content ?? {}).includes('schemas/Error');
          expect(isError, `${path} ${status}`).toBe(Number(status) >= 400 && !(path === '/readyz' && status === '503'));
        }
      }
    }
  });

  test('what the document requires is required, and what it does not know is refused', async () => {
    for (const { path, method, required } of Object.values(ENDPOINTS)) {
      const options = method === 'POST' ? { method, body: '[{"path":"a.bin","off":0,"len":1}]' } : {};
      expect((await ask(`${path}?unknown=1`, options)).status, path).toBe(400);
      if (required.length > 0)
        expect(errorOf(await ask(path, options)).message).toContain(`"${required[0]}" is missing`);
    }
  });

  test('docs/blob-api.md has every endpoint, parameter and limit, and no other', () => {
    const endpoints = [...DOCUMENT.matchAll(/^## `(GET|POST) (\S+)`/gm)].map(([, method, path]) => `${method} ${path}`);
    expect(endpoints).toEqual(Object.values(ENDPOINTS).map(({ method, path }) => `${method} ${path}`));
    const parameters = [...DOCUMENT.split('## Limits')[0]!.matchAll(/^\| `(\w+)` +\| [^|]* \| [^|]* \|$/gm)].map(
      ([, name]) => name,
    );
    expect(parameters).toEqual(Object.keys(PARAMETERS));
    const limits = [...DOCUMENT.matchAll(/^\| `(api\.\w+)` +\| `(\d+)` +\|/gm)].map(([, key, value]) => [key, value]);
    expect(limits).toEqual(
      Object.values(LIMIT_SETTINGS).map((key) => {
        const row: SettingRow = SETTINGS[key];
        const inUnits = Number(row.default) / (row.kind === 'size' ? row.unitBytes : 1);
        return [key, String(inUnits)];
      }),
    );
  });
});

describe('POST /hints', () => {
  const windows = [
    {
      path: 'a.bin',
      ranges: [
        [0, 200_000],
        [900_000, 1_000_000],
      ],
    },
  ];

  async function warmed(count: number): Promise<void> {
    while (data.memoryReader.warmed.size < count) await new Promise(setImmediate);
  }

  test('takes ranges, clips them, and fetches them behind', async () => {
    const answer = await hint({ epoch: 1, priority: 5, ttl_ms: 60_000, windows });
    expect(answer.status).toBe(202);
    expect(jsonOf(answer)).toEqual({ accepted: { ranges: 2, bytes: 200_000 + MIB - 900_000 } });
    await warmed(4);
    expect(data.metrics.get('seekfs_hints_total')).toBe(2);
  });

  test('the namespace may be in the body', async () => {
    expect((await hint({ ns: 'dev', windows }, '/hints')).status).toBe(202);
    expect(errorOf(await hint({ windows }, '/hints')).message).toContain('"ns" is missing');
    expect((await hint({ ns: 'other', windows })).status).toBe(400);
  });

  test('the higher priority goes first, and a later epoch drops what has not begun of earlier ones', async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const order: string[] = [];
    const begun = new Promise<void>((resolve) => {
      data.memoryReader.onSlab = (path, off) => {
        order.push(`${path} ${off}`);
        resolve();
        return opened;
      };
    });
    const one = (epoch: number, priority: number | string, off: number): Promise<Answer> =>
      hint({ epoch, priority, windows: [{ path: 'a.bin', ranges: [[off, 1]] }] });
    await one(1, 'normal', 0);
    await begun;
    await one(1, 9, 10);
    await one(2, 'high', 20);
    await one(2, 7, 30);
    await one(2, 'normal', 40);
    open();
    await warmed(1);
    while (order.length < 4) await new Promise(setImmediate);
    expect(order).toEqual(['a.bin 0', 'a.bin 30', 'a.bin 20', 'a.bin 40']);
  });

  test.each([
    [{}, 400, '"windows" is not an array'],
    [[], 400, 'not an object'],
    [{ windows: [{ path: 'a.bin' }] }, 400, '"windows[0].ranges" is not an array'],
    [{ windows: [{ path: 'a.bin', ranges: [[0]] }] }, 400, '"windows[0].ranges[0]" is not [off, len]'],
    [{ windows: [{ path: 'a.bin', ranges: [[0, -1]] }] }, 400, '"windows[0].ranges[0][1]" is -1'],
    [{ windows: [], ttl_ms: 'x' }, 400, '"ttl_ms" is "x"'],
    [{ windows: [], priority: 'low' }, 400, '"priority" is "low"'],
    [{ windows: [{ path: 'no', ranges: [] }] }, 404, 'no file no'],
    [{ windows: [{ path: 'a.bin', ranges: [[2 * MIB, 1]] }] }, 416, 'past the end'],
  ])('%j is %i', async (body, status, message) => {
    const answer = await hint(body);
    expect([answer.status, errorOf(answer).message]).toEqual([status, expect.stringContaining(message)]);
  });
});

describe('GET /advisor', () => {
  interface Advice {
    top_warm_candidates: { path: string; score: number; missing_bytes: number }[];
    would_save: { gets: number; bytes: number };
  }

  test('ranks what was read by what is missing, and forgets what is cached', async () => {
    for (let count = 0; count < 3; count += 1) await ask('/blob?ns=dev&path=a.bin');
    await ask('/readv?ns=dev', { method: 'POST', body: '[{"path":"b.bin","off":0,"len":10}]' });
    const before = jsonOf(await ask('/advisor?ns=dev')) as Advice;
    expect(before.top_warm_candidates.map(({ path }) => path)).toEqual(['a.bin', 'b.bin']);
    expect(before.top_warm_candidates[0]).toMatchObject({ score: 3 * MIB, missing_bytes: MIB, reads: 3 });
    expect(before.would_save.bytes).toBeGreaterThan(MIB);
    await hint({ windows: [{ path: 'a.bin', ranges: [[0, MIB]] }] });
    while (data.memoryReader.warmed.size < 8) await new Promise(setImmediate);
    const after = jsonOf(await ask('/advisor')) as Advice;
    expect(after.top_warm_candidates.map(({ path }) => path)).toEqual(['b.bin']);
  });

  test('an unknown namespace is 404', async () => {
    expect((await ask('/advisor?ns=no')).status).toBe(404);
  });
});

describe('the smoke endpoints', () => {
  const key = 'namespaces/dev/files/b.bin';

  test('/test_head asks the store for the object of a file or a key', async () => {
    for (const target of ['/test_head?ns=dev&path=b.bin', `/test_head?key=${key}`]) {
      expect(jsonOf(await ask(target))).toEqual({ key, size: 10, etag: '"e"', modified_at_ms: 1_700_000_000_000 });
    }
    expect((await ask('/test_head?key=namespaces/dev/files/none')).status).toBe(404);
    expect((await ask(`/test_head?key=${key}&ns=dev`)).status).toBe(400);
    expect((await ask('/test_head?ns=dev')).status).toBe(400);
  });

  test('/test_stream gives the verified bytes of the file that lives in the object', async () => {
    expect((await ask(`/test_stream?key=${key}&off=2&len=3`)).body.toString()).toBe('234');
    for (const other of ['namespaces/dev/files/none', 'namespaces/dev/HEAD', `${key}/v-${'0'.repeat(64)}`]) {
      expect((await ask(`/test_stream?key=${other}`)).status).toBe(404);
    }
  });
});

test('/status.json has bounds, versions and the residency of files', async () => {
  await ask('/blob?ns=dev&path=b.bin');
  await hint({ windows: [{ path: 'a.bin', ranges: [[0, MIB / 2]] }] });
  while (data.memoryReader.warmed.size < 4) await new Promise(setImmediate);
  const status = jsonOf(await ask('/status.json')) as { files: unknown };
  expect(status).toMatchObject({
    workers: 1,
    versions: [{ ns: 'dev', version: 1, files: 2 }],
    l2: { used: 25 * MIB, max: 100 * MIB },
    best_hit_rate: 1,
  });
  expect(status.files).toMatchObject([
    { path: 'b.bin', reads: 1, cells: [0] },
    { path: 'a.bin', reads: 0, cells: [1, 1, 1, 1, 0, 0, 0, 0] },
  ]);
});
