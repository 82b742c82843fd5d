// Each parameter of each endpoint, missing, empty, repeated and out of its type: 400 that names it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENDPOINTS, PARAMETERS, type EndpointName, type ParameterName } from '../../../src/lib/blobapi/endpoints.ts';
import { startServer, type BlobServer } from '../../../src/lib/blobapi/server.ts';
import { ask } from '../../support/http.ts';
import { memoryData } from '../../support/memory-data.ts';

const GOOD: Readonly<Record<ParameterName, string>> = {
  ns: 'dev',
  path: 'a.bin',
  key: 'namespaces/dev/files/a.bin',
  off: '0',
  len: '1',
  hash: `sha256:${'0'.repeat(64)}`,
  version: '1',
  prefix: 'a',
  start_after: '0',
  limit: '1',
};

/** What no parameter of that kind takes, percent-encoded. */
const NUMBERS = ['-1', '-0', '1.5', '1e3', '0x10', '%2B1', '%201', '1%20', 'NaN', 'Infinity', 'x', '9007199254740992'];
const BAD: Readonly<Partial<Record<ParameterName, readonly string[]>>> = {
  off: [...NUMBERS, '9'.repeat(400)],
  len: [...NUMBERS, '9'.repeat(400)],
  limit: [...NUMBERS, '9'.repeat(400)],
  version: [
    ...NUMBERS,
    '0',
    'v',
    'v-0',
    'v--1',
    'V1',
    'head',
    '1@',
    '1@sha256:00',
    `1@sha256:${'G'.repeat(64)}`,
    '9'.repeat(400),
  ],
  hash: ['x', '0', 'sha256:', `sha256:${'0'.repeat(63)}`, `sha256:${'A'.repeat(64)}`, `md5:${'0'.repeat(64)}`],
};

/** Every path begins with it. */
const MAY_BE_EMPTY: readonly ParameterName[] = ['prefix'];
const BODIES: Readonly<Partial<Record<EndpointName, string>>> = {
  readv: '[{"path":"a.bin","off":0,"len":1}]',
  hints: '{"windows":[{"path":"a.bin","ranges":[[0,1]]}]}',
};

let server: BlobServer;

beforeAll(async () => {
  const data = memoryData({ dev: [{ 'a.bin': Buffer.from('0123456789') }] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
});

afterAll(() => server.close({ drainMsMax: 0 }));

async function statusOf(name: EndpointName, pairs: readonly string[]): Promise<[number, string | undefined]> {
  const { path, method } = ENDPOINTS[name];
  const body = BODIES[name];
  const answer = await ask(
    `${server.url}${path}?${pairs.join('&')}`,
    body === undefined ? { method } : { method, body },
  );
  if (answer.status < 400) return [answer.status, undefined];
  const { error } = JSON.parse(answer.body.toString()) as {
    error: { message: string; details: { parameter?: string } };
  };
  expect(error.message).toContain(`"${error.details.parameter}"`);
  return [answer.status, error.details.parameter];
}

const names = Object.keys(ENDPOINTS) as EndpointName[];

describe.each(names.filter((name) => ENDPOINTS[name].parameters.length > 0))('%s', (name) => {
  const parameters: readonly ParameterName[] = ENDPOINTS[name].parameters;
  const required: readonly ParameterName[] =
    name === 'test_head' ? ['ns', 'path'] : name === 'hints' ? ['ns'] : ENDPOINTS[name].required;
  /** The others that are needed, so that only this one is wrong. */
  const others = (parameter: ParameterName): string[] =>
    (name === 'test_head' && parameter === 'key' ? [] : required)
      .filter((other) => other !== parameter)
      .map((other) => `${other}=${GOOD[other]}`);

  test.each(required)('%s missing', async (parameter) => {
    expect(await statusOf(name, others(parameter))).toEqual([400, parameter]);
  });

  test.each(parameters)('%s empty, without a value, repeated, malformed', async (parameter) => {
    const asked = async (...pairs: string[]): Promise<unknown> => statusOf(name, [...others(parameter), ...pairs]);
    const empty = MAY_BE_EMPTY.includes(parameter) ? [200, undefined] : [400, parameter];
    expect(await asked(`${parameter}=`)).toEqual(empty);
    expect(await asked(parameter)).toEqual(empty);
    const good = `${parameter}=${GOOD[parameter]}`;
    expect(await asked(good, good)).toEqual([400, parameter]);
    for (const encoding of ['%', '%0', '%zz', '%ff', '%ed%a0%80']) {
      expect(await asked(`${parameter}=${encoding}`), encoding).toEqual([400, parameter]);
    }
    for (const value of BAD[parameter] ?? []) {
      expect(await asked(`${parameter}=${value}`), `${parameter}=${value}`).toEqual([400, parameter]);
    }
  });

  test('what it does not know', async () => {
    const strangers = (Object.keys(PARAMETERS) as ParameterName[]).filter((other) => !parameters.includes(other));
    for (const stranger of [...strangers, '__proto__', 'constructor', 'OFF', 'len%00']) {
      const status = await statusOf(name, [...required.map((other) => `${other}=${GOOD[other]}`), `${stranger}=1`]);
      expect(status, stranger).toEqual([400, decodeURIComponent(stranger)]);
    }
  });
});

test('endpoints without parameters take none', async () => {
  for (const name of names.filter((each) => ENDPOINTS[each].parameters.length === 0)) {
    expect(await statusOf(name, ['ns=dev']), name).toEqual([400, 'ns']);
  }
});

test.each(['1', 'v1', 'v-1'])('version=%s is version 1, as the command line has it', async (version) => {
  expect(await statusOf('blob', ['ns=dev', `path=${GOOD['path']}`, `version=${version}`])).toEqual([200, undefined]);
});
