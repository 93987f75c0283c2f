import { ROLES, type Role } from '@morpheo/common';
import test from 'ava';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService, type SmallOptions } from '../testing/small-service.ts';
import { basic } from '../testing/talk.ts';
import { credentials } from './credentials.ts';

const authenticate = credentials(
  ROLES.map((role) => ({ name: role, roles: [role], secretHash: cheapHash(role) })),
);
const closed: SmallOptions = { authenticate, anonymousIntake: false };

const CALLS = {
  index: ['GET', '/'],
  order: ['POST', '/order'],
  drop: ['DELETE', '/v1/things/a'],
  watch: ['GET', '/v1/things/a/events'],
  upload: ['POST', '/data'],
  headBlob: ['HEAD', '/data/x'],
} as const;

/** Who may do what; `admin` may do all of it. */
const MAY: Readonly<Record<keyof typeof CALLS, readonly Role[]>> = {
  index: ROLES,
  order: ['orchestrator'],
  drop: ['worker', 'uploader'],
  watch: ['reader'],
  upload: ['uploader'],
  headBlob: ['reader'],
};

const statusOf = async (url: string, call: keyof typeof CALLS, headers: Record<string, string> = {}) => {
  const [method, path] = CALLS[call];
  const body = method === 'POST' ? '{}' : null;
  const response = await fetch(`${url}${path}`, { method, headers, body });
  await response.text();
  return response.status;
};

test('Each role may do what the contract says, admin everything', async (t) => {
  await using service = await openSmallService(closed);
  for (const role of ROLES) {
    for (const call of Object.keys(CALLS) as (keyof typeof CALLS)[]) {
      const allowed = role === 'admin' || MAY[call].includes(role);
      const status = await statusOf(service.url, call, basic(role, role));
      t.is(status >= 400, !allowed, `${role} ${call}: ${status}`);
      if (!allowed) t.is(status, 403);
    }
  }
});

test('Without credentials only public routes answer', async (t) => {
  await using service = await openSmallService(closed);
  for (const call of Object.keys(CALLS) as (keyof typeof CALLS)[]) {
    t.is(await statusOf(service.url, call), call === 'index' ? 200 : 401, call);
    t.is(await statusOf(service.url, call, basic('admin', 'no')), call === 'index' ? 200 : 401, call);
  }
});

test('The open intake takes strangers but no wrong credentials', async (t) => {
  await using service = await openSmallService({ authenticate, anonymousIntake: true });
  t.is(await statusOf(service.url, 'order'), 202);
  t.is(await statusOf(service.url, 'order', basic('orchestrator', 'orchestrator')), 202);
  t.is(await statusOf(service.url, 'order', basic('orchestrator', 'wrong')), 401);
  t.is(await statusOf(service.url, 'order', basic('reader', 'reader')), 403);
});

test('A service without authentication lets everybody do everything', async (t) => {
  await using service = await openSmallService({ authenticate: null });
  for (const call of Object.keys(CALLS) as (keyof typeof CALLS)[]) {
    t.true((await statusOf(service.url, call)) < 300, call);
  }
});

test('The handler learns who calls', async (t) => {
  const principals: unknown[] = [];
  const api: SmallOptions['api'] = {
    drop: async (_input, call) => {
      principals.push(call?.principal);
      return undefined;
    },
  };
  await using service = await openSmallService({ ...closed, api });
  await statusOf(service.url, 'drop', { authorization: 'Bearer worker.worker' });
  t.deepEqual(principals, [{ name: 'worker', roles: ['worker'] }]);
});
