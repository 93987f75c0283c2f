import { randomUUID } from 'node:crypto';
import { type Endpoint, ROLES, type Role } from '@morpheo/common';
import test from 'ava';
import { basic, openServicesWithRoles, type ServedContract } from '../testing/services-with-roles.ts';

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

test('No route of any service lets anybody pass with missing, wrong or lesser credentials', async (t) => {
  t.timeout(240_000);
  await using running = await openServicesWithRoles();
  let calls = 0;
  for (const service of running.services) {
    for (const [name, endpoint] of Object.entries(service.contract.endpoints)) {
      if (endpoint.access === 'public') continue;
      const allowed = rolesOf(endpoint);
      for (const authorization of WRONG) {
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
