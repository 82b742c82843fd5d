// The OpenAPI 3.1 document of the API, made from the table of endpoints. Pure.
import { ENDPOINTS, PARAMETERS, type ParameterName } from './endpoints.ts';

const COMMON_ANSWERS: Readonly<Record<number, string>> = {
  400: 'a parameter or the body is malformed; the message names it',
  401: 'no token for the namespace',
  408: 'the request did not arrive in time',
  414: 'the URL is too long',
  429: 'this client has too many requests open',
  431: 'the header is too large',
  500: 'a defect; the log has the cause under the request id',
  503: 'a limit is reached, or the store throttles; Retry-After says when to ask again',
};

const EXTENT = {
  type: 'object',
  required: ['path', 'off', 'len'],
  additionalProperties: false,
  properties: { path: { type: 'string' }, off: { type: 'integer', minimum: 0 }, len: { type: 'integer', minimum: 0 } },
};

const RANGE = { type: 'array', minItems: 2, maxItems: 2, items: { type: 'integer', minimum: 0 } };

const HINT = {
  type: 'object',
  required: ['windows'],
  additionalProperties: false,
  properties: {
    ns: { type: 'string' },
    epoch: { type: 'integer', minimum: 0 },
    priority: { anyOf: [{ type: 'integer', minimum: 0 }, { enum: ['normal', 'high'] }] },
    ttl_ms: { type: 'integer', minimum: 0 },
    windows: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'ranges'],
        additionalProperties: false,
        properties: { path: { type: 'string' }, ranges: { type: 'array', items: RANGE } },
      },
    },
  },
};

const BODIES: Readonly<Record<string, unknown>> = { readv: { type: 'array', minItems: 1, items: EXTENT }, hints: HINT };

const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' }, details: { type: 'object' } },
    },
  },
};

function responseOf(
  status: string,
  about: string,
  { isError, contentTypes }: { readonly isError: boolean; readonly contentTypes: readonly string[] },
): unknown {
  if (status === '304') return { description: about };
  const types = isError ? ['application/json'] : contentTypes;
  const schema = isError ? { $ref: '#/components/schemas/Error' } : {};
  return { description: about, content: Object.fromEntries(types.map((type) => [type, { schema }])) };
}

function parameterOf(name: ParameterName, isRequired: boolean): unknown {
  const { type, about } = PARAMETERS[name];
  const schema = type === 'integer' ? { type, minimum: 0 } : { type };
  return { name, in: 'query', required: isRequired, description: about, schema };
}

export function openApiDocument(): Record<string, unknown> {
  const paths = Object.entries(ENDPOINTS).map(([name, endpoint]) => {
    const required: readonly string[] = endpoint.required;
    const answers: Readonly<Record<string, string>> = { ...COMMON_ANSWERS, ...endpoint.answers };
    const operation = {
      operationId: name,
      summary: endpoint.about,
      parameters: endpoint.parameters.map((parameter) => parameterOf(parameter, required.includes(parameter))),
      ...(name in BODIES
        ? { requestBody: { required: true, content: { 'application/json': { schema: BODIES[name] } } } }
        : {}),
      responses: Object.fromEntries(
        Object.entries(answers).map(([status, about]) => [
          status,
          responseOf(status, about, {
            // /readyz says that it is not ready in the form in which it says that it is.
            isError: Number(status) >= 400 && !(name === 'readyz' && status === '503'),
            contentTypes: endpoint.contentTypes,
          }),
        ]),
      ),
      security: endpoint.access === 'anyone' ? [] : [{ token: [] }],
    };
    const { operationId: _, ...head } = operation;
    const methods = endpoint.method === 'POST' ? { post: operation } : { get: operation, head };
    return [endpoint.path, methods];
  });
  return {
    openapi: '3.1.0',
    info: {
      title: 'seekfs Blob API',
      version: '1',
      description: 'Verified bytes of versioned files. docs/blob-api.md',
    },
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Error: ERROR },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}
