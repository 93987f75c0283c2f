import {
  type Contract,
  computeContract,
  orchestratorContract,
  PlatformError,
  shepherdContract,
  storageContract,
} from '@morpheo/common';
import test from 'ava';
import { problemAnswer } from '../answers/problem.ts';
import { openSmallService, smallContract } from '../testing/small-service.ts';
import { openApiDocument } from './openapi.ts';

const info = { name: 'x', version: '1.2.3' };
const CONTRACTS: Readonly<Record<string, Contract>> = {
  smallContract,
  computeContract,
  storageContract,
  orchestratorContract,
  shepherdContract,
};

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, { readonly content?: unknown }>>;
  readonly security: readonly unknown[];
}

function operationsOf(document: Record<string, unknown>): [string, Operation][] {
  const paths = document.paths as Record<string, Record<string, Operation>>;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.values(methods).map((operation): [string, Operation] => [path, operation]),
  );
}

const sorted = (texts: readonly string[]) => texts.toSorted((a, b) => a.localeCompare(b));

/** Every `$ref` in the document. */
function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = '$ref' in value && typeof value.$ref === 'string' ? [value.$ref] : [];
  return [...own, ...Object.values(value).flatMap(refsIn)];
}

function resolve(document: unknown, ref: string): unknown {
  return ref
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
}

for (const [name, contract] of Object.entries(CONTRACTS)) {
  test(`The document of ${name} has every route once, with its errors`, (t) => {
    const document = openApiDocument(contract, info);
    const operations = operationsOf(document);
    t.deepEqual(
      sorted(operations.map(([, { operationId }]) => operationId)),
      sorted(['health', 'ready', ...Object.keys(contract.endpoints)]),
    );
    for (const [path, { parameters, responses }] of operations) {
      const inPath = parameters.filter((one) => one.in === 'path').map((one) => `{${one.name}}`);
      t.deepEqual(path.match(/\{\w+\}/g) ?? [], inPath, path);
      t.truthy(responses[500]);
    }
    t.true(refsIn(document).length > 0);
    for (const ref of refsIn(document)) t.truthy(resolve(document, ref), ref);
    t.deepEqual(JSON.parse(JSON.stringify(document)), document);
  });
}

test('The document tells who may call and with what', (t) => {
  const operations = new Map(
    operationsOf(openApiDocument(smallContract, info)).map(([, one]) => [one.operationId, one]),
  );
  t.deepEqual(operations.get('index')?.security, []);
  t.deepEqual(operations.get('order')?.security, [{ basic: [] }, { bearer: [] }, {}]);
  t.deepEqual(operations.get('drop')?.security, [{ basic: [] }, { bearer: [] }]);
  t.deepEqual(Object.keys(operations.get('drop')?.responses ?? {}), [
    '204',
    '400',
    '401',
    '403',
    '404',
    '429',
    '500',
  ]);
  const change = operations.get('change') as unknown as { requestBody: unknown };
  t.deepEqual(change.requestBody, {
    required: true,
    content: {
      'application/json': {
        schema: {
          type: 'object',
          properties: {
            name: { type: 'string' },
            size: { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
          },
          required: ['name', 'size'],
        },
      },
    },
  });
});

test('The body of the originals is shown with its types, nothing of it required', (t) => {
  const { paths } = openApiDocument(smallContract, info);
  const order = (paths as Record<string, unknown>)['/order'];
  t.deepEqual(resolve(order, 'post/requestBody/content'), {
    'application/json': {
      schema: {
        type: 'object',
        properties: {
          uuid: { type: ['string', 'null'], format: 'uuid', default: null },
          rank: { type: ['integer', 'null'], default: null },
        },
      },
    },
  });
});

test('The document and a page to read it are served without credentials', async (t) => {
  await using service = await openSmallService({ authenticate: async () => null });
  const document = await fetch(`${service.url}/openapi.json`);
  t.like(await document.json(), { openapi: '3.1.1', info: { title: 'Small API', version: '1.2.3' } });
  const page = await fetch(`${service.url}/docs`);
  t.is(page.headers.get('content-type'), 'text/html; charset=utf-8');
  const html = await page.text();
  t.regex(page.headers.get('content-security-policy') ?? '', /script-src 'self';/);
  t.notRegex(html, /<script>|https?:|\son\w+=/);
  const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file);
  t.is(files.length, 4);
  for (const file of files) {
    const response = await fetch(new URL(file ?? '', `${service.url}/docs`));
    t.is(response.status, 200, file);
    t.true((await response.arrayBuffer()).byteLength > 100, file);
  }
});

test('The page gives out no other file of its package', async (t) => {
  await using service = await openSmallService();
  for (const file of ['package.json', 'constructor']) {
    t.is((await fetch(`${service.url}/docs/${file}`)).status, 404, file);
  }
  for (const file of ['..%2fpackage.json', '%2e%2e%2fkoa%2fpackage.json']) {
    t.is((await fetch(`${service.url}/docs/${file}`)).status, 400, file);
  }
});

test('A document of OpenAPI 3.0 has no list of types: what may be null says so', (t) => {
  const document = openApiDocument(shepherdContract, info, '3.0.2');
  t.is(document.openapi, '3.0.2');
  t.false(JSON.stringify(document).includes('"type":["'));
  t.true(JSON.stringify(document).includes('"nullable":true'));
  t.false(JSON.stringify(openApiDocument(shepherdContract, info)).includes('"nullable"'));
});

test('Errors of a contract whose errors are a message have nothing else, on every route', (t) => {
  const contract = { ...smallContract, errorKey: 'message' } as const;
  const error = new PlatformError('conflict', 'No.', { details: { by: 'x' } });
  const answer = problemAnswer(error, { contract, requestId: 'r', path: '/docs' });
  t.is(answer.status, 409);
  t.is(answer.headers['content-type'], 'application/json; charset=UTF-8');
  t.is(answer.body, '{"message":"No."}');
  const { components } = openApiDocument(contract, info);
  t.deepEqual(resolve(components, 'schemas/Problem/required'), ['message']);
});
