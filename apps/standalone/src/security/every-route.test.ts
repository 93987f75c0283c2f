import { randomUUID } from 'node:crypto';
import { type Endpoint, ROLES, type Role } from '@morpheo/common';
import test from 'ava';
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
  ...ROLES.flatMap((role) => [basic(role, randomUUID()), `Bearer ${role}.${randomUUID()}`]),
];

/** What is nearly right: the secret of another name, or one with a character too many, too few or another. */
function nearly(running: ServicesWithRoles): string[] {
  const known = ROLES.map((role) => ({ role, secret: secretOf(running.authorizationOf(role)) }));
  return known.flatMap(({ role, secret }, index) => {
    const other = known[(index + 1) % known.length]?.secret ?? '';
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
        t.is(status, 403, `${service.name} ${name} as ${role}`);
        calls += 1;
      }
      for (const role of allowed) {
        const status = await statusOf(service, endpoint, running.authorizationOf(role));
        t.false([401, 403].includes(status), `${service.name} ${name} as ${role} answers ${status}`);
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

function rolesOf({ access }: Endpoint): readonly Role[] {
  const named: readonly Role[] = Array.isArray(access) ? access : ['orchestrator'];
  return [...new Set<Role>(['admin', ...named])];
}

async function statusOf(service: ServedContract, endpoint: Endpoint, authorization: string | undefined) {
  const path = endpoint.path.replace(
    /:(\w+)/g,
    (_, name: string) => PARAMETERS[service.name]?.[name] ?? randomUUID(),
  );
  const hasBody = endpoint.body !== undefined && endpoint.body.type !== 'none';
  const cut = AbortSignal.timeout(10_000);
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
