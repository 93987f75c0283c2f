import { randomUUID } from 'node:crypto';
import {
  type Contract,
  CREDENTIAL_ROLES,
  computeContract,
  type Endpoint,
  orchestratorContract,
  ROLES,
  type Role,
  serviceContract,
  storageContract,
} from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import {
  basic,
  openServicesWithRoles,
  type ServedContract,
  type ServicesWithRoles,
} from '../testing/services-with-roles.ts';

/** What a parameter may stand for; any id will do, since nobody may get far enough to miss it. */
const PARAMETERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'storage-api': { type: 'algo', attempt: '1' },
  'compute-api': { attempt: '1' },
  orchestrator: { type: 'learnuplet', collection: 'problem' },
};

/** Routes that answer to members of what they are about, which no role is. */
const MEMBERS_ALONE: ReadonlySet<string> = new Set(['getGroup']);

/** Routes that an attempt alone calls, by its ticket: all others are refused, and so are tickets of other attempts. */
const TICKETS_ALONE: ReadonlySet<string> = new Set(['putCheckpoint', 'getCheckpoint', 'pinnedInputs']);

/** Credentials that nobody has; 50 of them per route are wrong in ways of their own. */
const WRONG: readonly (string | undefined)[] = [
  undefined,
  'Basic',
  'Basic !!!',
  'Bearer ',
  'Bearer admin',
  'Bearer admin.',
  'Negotiate YII=',
  basic('admin', ''),
  basic('', ''),
  basic('nobody', randomUUID()),
  ...CREDENTIAL_ROLES.flatMap((role) => [basic(role, randomUUID()), `Bearer ${role}.${randomUUID()}`]),
];

/** What is nearly right: the secret of another name, or one with a character too many, too few or another. */
function nearly(running: ServicesWithRoles): string[] {
  const callers = CREDENTIAL_ROLES.map((role) => ({ role, secret: secretOf(running.authorizationOf(role)) }));
  return callers.flatMap(({ role, secret }, index) => {
    const other = callers[(index + 1) % callers.length]?.secret ?? '';
    const wrong = [
      other,
      `${secret}x`,
      secret.slice(0, -1),
      secret.toUpperCase(),
      `${secret}\0`,
      ` ${secret}`,
      '',
    ];
    const names = [`${role}\0`, role.toUpperCase(), `${role} `, '__proto__'];
    return [
      ...wrong.map((one) => basic(role, one)),
      ...names.map((name) => basic(name, secret)),
      `Bearer ${role}.${other}`,
      `Bearer ${secret}`,
      `Bearer .${secret}`,
    ];
  });
}

function secretOf(authorization: string): string {
  return Buffer.from(authorization.replace('Basic ', ''), 'base64')
    .toString()
    .replace(/^[^:]*:/, '');
}

test('No route of any service lets anybody pass with missing, wrong or lesser credentials', async (t) => {
  t.timeout(240_000);
  await using running = await openServicesWithRoles();
  const wrong = nearly(running);
  let calls = 0;
  for (const service of running.services) {
    for (const [name, endpoint] of Object.entries(service.contract.endpoints)) {
      if (endpoint.access === 'public') continue;
      const allowed = rolesOf(endpoint);
      for (const authorization of [...WRONG, ...wrong]) {
        t.is(
          await statusOf(service, endpoint, authorization),
          401,
          `${service.name} ${name} ${authorization}`,
        );
        calls += 1;
      }
      for (const role of ROLES.filter((one) => !allowed.includes(one))) {
        const status = await statusOf(service, endpoint, running.authorizationOf(role));
        // Tickets are for storage-api alone: to others they are credentials that nobody has.
        const refused = role === 'attempt' && service.name !== 'storage-api' ? 401 : 403;
        t.is(status, refused, `${service.name} ${name} as ${role}`);
        calls += 1;
      }
      for (const role of allowed) {
        // Of people, everybody may ask about themselves.
        const status = await statusOf(service, endpoint, running.authorizationOf(role), { name: role });
        const refused = [401, 403].includes(status);
        const isForOthers = (MEMBERS_ALONE.has(name) && role !== 'admin') || TICKETS_ALONE.has(name);
        t.is(refused, isForOthers, `${name} as ${role} answers ${status}`);
        calls += 1;
      }
    }
  }
  t.log(`${calls} calls`);
});

test('What is open to anybody is what every service has, and nothing of the data', async (t) => {
  await using running = await openServicesWithRoles();
  for (const { name, contract } of running.services) {
    const open = Object.values(contract.endpoints).filter(({ access }) => access === 'public');
    t.deepEqual(
      open.map(({ path }) => path).filter((path) => path !== '/' && path !== '/health'),
      [],
      name,
    );
  }
});

test('No other spelling of a path reaches a route, whoever asks', async (t) => {
  await using running = await openServicesWithRoles();
  let calls = 0;
  for (const service of running.services) {
    for (const [name, endpoint] of Object.entries(service.contract.endpoints)) {
      for (const path of spellingsOf(endpoint.path)) {
        for (const authorization of [undefined, ...ROLES.map((role) => running.authorizationOf(role))]) {
          const status = await statusOf(service, { ...endpoint, path }, authorization);
          t.is(status, 400, `${service.name} ${name} ${path}`);
          calls += 1;
        }
      }
    }
  }
  t.true(calls > 500);
});

test('Where a parameter of one route may be the literal of another, the one with the parameter refuses it', (t) => {
  const contracts: readonly Contract[] = [computeContract, orchestratorContract, storageContract];
  let pairs = 0;
  for (const contract of contracts) {
    const endpoints = Object.values({ ...serviceContract.endpoints, ...contract.endpoints });
    for (const literal of endpoints) {
      for (const loose of endpoints.filter((one) => isLooser(one, literal))) {
        t.true(refuses(loose, literal), `${loose.method} ${loose.path} takes what is for ${literal.path}`);
        pairs += 1;
      }
    }
  }
  t.log(`${pairs} pairs`);
  t.true(pairs > 0);
});

/** The path with one letter of one of its literal segments percent-encoded, once for each of the letters. */
function* spellingsOf(path: string): Generator<string> {
  const segments = path.split('/');
  for (const [index, segment] of segments.entries()) {
    if (segment.startsWith(':')) continue;
    for (const [at, letter] of [...segment].entries()) {
      const encoded = `%${letter.charCodeAt(0).toString(16)}`;
      const spelt = `${segment.slice(0, at)}${encoded}${segment.slice(at + 1)}`;
      yield segments.with(index, spelt).join('/');
    }
  }
}

/** Whether a path may be of both routes, where the first has a parameter for a literal of the other. */
function isLooser(loose: Endpoint, literal: Endpoint): boolean {
  const pairs = segmentsOf(loose, literal);
  return (
    loose.method === literal.method &&
    loose.path.split('/').length === literal.path.split('/').length &&
    pairs.every(([own, other]) => isParameter(own) || own === other || takes(literal, other, own)) &&
    pairs.some(([own, other]) => isParameter(own) && !isParameter(other))
  );
}

/** Whether a parameter of the route does not take the literal that the other has in its place. */
function refuses(loose: Endpoint, literal: Endpoint): boolean {
  return segmentsOf(loose, literal).some(
    ([own, other]) => isParameter(own) && !isParameter(other) && !takes(loose, own, other),
  );
}

function segmentsOf(one: Endpoint, other: Endpoint): (readonly [string, string])[] {
  const others = other.path.split('/');
  return one.path.split('/').map((segment, index) => [segment, others[index] ?? '']);
}

function isParameter(segment: string): boolean {
  return segment.startsWith(':');
}

function takes({ params }: Endpoint, parameter: string, value: string): boolean {
  const schema = params?.shape[parameter.slice(1)];
  return isParameter(parameter) && !(schema instanceof z.ZodType && !schema.safeParse(value).success);
}

function rolesOf({ access }: Endpoint): readonly Role[] {
  const named: readonly Role[] = Array.isArray(access) ? access : ['orchestrator'];
  return [...new Set<Role>(['admin', ...named])];
}

async function statusOf(
  service: ServedContract,
  endpoint: Endpoint,
  authorization: string | undefined,
  params: Readonly<Record<string, string>> = {},
) {
  const path = endpoint.path.replace(
    /:(\w+)/g,
    (_, name: string) => params[name] ?? PARAMETERS[service.name]?.[name] ?? randomUUID(),
  );
  const hasBody = endpoint.body !== undefined && endpoint.body.type !== 'none';
  const cut = AbortSignal.timeout(60_000);
  const answer = await fetch(`${service.url}${path}`, {
    method: endpoint.method,
    signal: cut,
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(hasBody ? { 'content-type': 'application/json' } : {}),
    },
    ...(hasBody ? { body: '{}' } : {}),
  });
  await answer.body?.cancel();
  return answer.status;
}
