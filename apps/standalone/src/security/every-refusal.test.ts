import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request as ask } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Contract, type Endpoint, serviceContract } from '@morpheo/common';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { basic, openServicesWithRoles, type ServedContract } from '../testing/services-with-roles.ts';
import { allowedBy, EXCEPTIONS, exceptionOf, misfitOf, type Refusal } from './refusals.ts';

/** Those that routes have, and two that none has. CONNECT asks for a connection, not for a path. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];

/** Paths that no contract names: pages of every service, and what is nothing. */
const OTHER_PATHS = [
  ...['/openapi.json', '/metrics', '/docs', '/docs/start.js', '/docs/swagger-ui.css', '/docs/nothing'],
  ...['/nothing', `/nothing/${randomUUID()}`, '/a/b/c/d/e', '/v1', '/v1/nothing', '/v1/nothing/at/all'],
];

/** What is wrong with a request, whatever its route: each has to be refused, or passed over. */
const WRONGS: readonly { readonly headers: Readonly<Record<string, string>>; readonly body?: string }[] = [
  { headers: {} },
  { headers: { authorization: 'Negotiate YII=' } },
  { headers: { authorization: basic('admin', 'wrong') } },
  { headers: { host: 'evil.example' } },
  { headers: { accept: 'x'.repeat(3000) } },
  { headers: { authorization: 'x'.repeat(5000) } },
];

/** The same of a caller who may do everything. */
const WRONGS_OF_ADMIN: typeof WRONGS = [
  { headers: {} },
  { headers: { 'content-type': 'text/plain' }, body: 'x' },
  { headers: { 'content-type': 'application/json' }, body: '{' },
  { headers: { 'content-type': 'application/json' }, body: '[]' },
  { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: '{}' },
  { headers: { 'content-type': 'multipart/form-data' }, body: 'x' },
  { headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: '--b\r\nx' },
  { headers: { 'content-type': 'text/plain', origin: 'http://evil.example' }, body: '{}' },
  { headers: { 'tus-resumable': '9.9.9' } },
];

test('Every refusal is a problem document but where the originals answer otherwise, and Allow is true', async (t) => {
  t.timeout(240_000);
  await using running = await openServicesWithRoles();
  const used = new Set<unknown>();
  let refusals = 0;
  const judge = (refusal: Refusal) => {
    if (refusal.status < 400) return;
    refusals += 1;
    used.add(exceptionOf(refusal));
    t.is(
      misfitOf(refusal),
      undefined,
      `${refusal.service} ${refusal.method} ${refusal.path} ${refusal.status}`,
    );
  };
  for (const service of running.services) {
    for (const path of pathsOf(service.contract)) await walkMethods(t, service, path, judge);
    for (const endpoint of endpointsOf(service.contract)) {
      const path = pathOf(endpoint);
      const misspelt = [path.replace(/[a-z]/, '%61'), `${path}?limit=x&cursor=${'x'.repeat(300)}`];
      const misfit = pathOf(endpoint, {}, 'not%20an%20id');
      const authorization = running.authorizationOf('admin');
      const calls = [
        ...WRONGS.map((wrong) => ({ ...wrong, path })),
        ...(['reader', 'attempt'] as const).map((role) => ({
          ...{ path, headers: { authorization: running.authorizationOf(role) } },
        })),
        ...WRONGS_OF_ADMIN.map((wrong) => ({ ...wrong, path, headers: { authorization, ...wrong.headers } })),
        ...[...misspelt, misfit].map((one) => ({ path: one, headers: { authorization } })),
      ];
      for (const call of calls) judge(await answerOf(service, { method: endpoint.method, ...call }));
    }
    for (const bytes of UNREADABLE) judge(await rawAnswerOf(service, bytes));
  }
  t.deepEqual(
    EXCEPTIONS.filter((one) => !used.has(one)).map(({ reason }) => reason),
    [],
    'exceptions that nothing needs',
  );
  t.log(`${refusals} refusals`);
  t.true(refusals > 2000);
});

/** Asks a path by every method, without credentials: where there is a route the answer is neither 404 nor 405. */
async function walkMethods(
  t: ExecutionContext,
  service: ServedContract,
  path: string,
  judge: (refusal: Refusal) => void,
): Promise<void> {
  const answers: Refusal[] = [];
  for (const method of METHODS) answers.push(await answerOf(service, { method, path, headers: {} }));
  for (const answer of answers) judge(answer);
  const known = answers.filter(({ status }) => status !== 404 && status !== 405).map(({ method }) => method);
  for (const answer of answers.filter(({ status }) => status === 405)) {
    const allowed = allowedBy(answer);
    t.is(allowed.size, known.length);
    t.deepEqual(
      METHODS.filter((method) => allowed.has(method)),
      known,
      `${service.name} ${answer.method} ${path}`,
    );
  }
}

/** What Node refuses before there is a request. */
const UNREADABLE = [
  'BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n',
  'GET / HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'y'.repeat(20_000)}\r\n\r\n`,
  'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n',
  'CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n',
  '\u0016\u0003\u0001',
];

function endpointsOf({ endpoints }: Contract): Endpoint[] {
  return Object.values({ ...serviceContract.endpoints, ...endpoints });
}

/** Every path that a contract names, with each value that chooses a route, and with one that is none. */
function pathsOf(contract: Contract): Set<string> {
  const paths = endpointsOf(contract).flatMap((endpoint) => {
    const choices = Object.entries(endpoint.params?.shape ?? {}).flatMap(([name, schema]) =>
      schema instanceof z.ZodEnum
        ? [...schema.options, 'nothing'].map((value) => ({ [name]: String(value) }))
        : [],
    );
    return [pathOf(endpoint), ...choices.map((params) => pathOf(endpoint, params))];
  });
  return new Set([...paths, ...OTHER_PATHS]);
}

const ID: string = randomUUID();

/** The path of a route; `other` stands for every parameter that does not choose one. */
function pathOf(
  { path, params }: Endpoint,
  given: Readonly<Record<string, string>> = {},
  other = ID,
): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const schema = params?.shape[name];
    if (schema instanceof z.ZodEnum) return given[name] ?? String(schema.options[0]);
    return name === 'attempt' && other === ID ? '1' : other;
  });
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function answerOf(
  service: ServedContract,
  { method, path, headers, body = '' }: Asked,
): Promise<Refusal> {
  const length = body === '' ? {} : { 'content-length': Buffer.byteLength(body) };
  const sent = ask(`${service.url}${path}`, { method, headers: { ...headers, ...length } }).end(body);
  const [answer] = await once(sent, 'response');
  const classic = isClassic(service.contract, method, path);
  const { statusCode: status, headers: fields } = answer;
  return { service: service.name, method, path, status, headers: fields, text: await text(answer), classic };
}

/** What comes back to bytes, which may be no request. */
async function rawAnswerOf(service: ServedContract, bytes: string): Promise<Refusal> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes, 'latin1');
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
  const [line = '', ...fields] = head.split('\r\n');
  const headers = Object.fromEntries(
    fields.map((field) => {
      const [name = '', ...value] = field.split(': ');
      return [name.toLowerCase(), value.join(': ')];
    }),
  );
  const status = Number(line.split(' ')[1]);
  return {
    service: service.name,
    method: '',
    path: bytes.slice(0, 40),
    status,
    headers,
    text: body,
    classic: false,
  };
}

/** Whether the route that answers is one of the originals. */
function isClassic(contract: Contract, method: string, path: string): boolean {
  const [bare = ''] = path.split('?');
  return endpointsOf(contract).some(
    (one) => one.classic === true && one.method === method && patternOf(one).test(bare),
  );
}

function patternOf({ path, params }: Endpoint): RegExp {
  const pattern = path.replace(/:(\w+)/g, (_, name: string) => {
    const schema = params?.shape[name];
    return schema instanceof z.ZodEnum ? `(?:${schema.options.join('|')})` : '[^/]+';
  });
  return new RegExp(`^${pattern}$`);
}
