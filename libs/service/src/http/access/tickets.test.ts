import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ticket } from '@morpheo/common';
import test from 'ava';
import { SignJWT } from 'jose';
import {
  instanceSigner,
  instanceVerifier,
  openTicketKeys,
  ticketKeysOf,
  ticketSigner,
  ticketVerifier,
} from './tickets.ts';

const TICKET: Ticket = {
  order: '00000000-0000-4000-8000-000000000001',
  attempt: 2,
  pin: 'a'.repeat(64),
  produces: { type: 'model', uuid: '00000000-0000-4000-8000-000000000002' },
};
const NOW = Date.parse('2026-01-01T00:00:00Z');
const IN_A_MINUTE = new Date(NOW + 60_000);

const newKey = () => randomBytes(32).toString('base64');
const KEY = newKey();
const keys = ticketKeysOf(KEY, 'here');
const sign = ticketSigner(keys);
const verifyAt = (at: number, known = keys) => {
  const verify = ticketVerifier(known, () => at);
  return async (token: string) => await verify(`Bearer ${token}`);
};
const verify = verifyAt(NOW);

/** A token with one of its parts another: what is JSON is given as a value. */
function changed(token: string, part: 0 | 1, change: (value: Record<string, unknown>) => void): string {
  const parts = token.split('.');
  const value: Record<string, unknown> = JSON.parse(Buffer.from(parts[part] ?? '', 'base64url').toString());
  change(value);
  return parts.with(part, Buffer.from(JSON.stringify(value)).toString('base64url')).join('.');
}

test('A ticket makes an attempt of who shows it, with what the ticket says', async (t) => {
  t.deepEqual(await verify(await sign(TICKET, IN_A_MINUTE)), {
    name: `attempt 2 of ${TICKET.order}`,
    roles: ['attempt'],
    ticket: TICKET,
  });
});

test('A ticket is good until its end, and half a minute longer, since clocks differ', async (t) => {
  const token = await sign(TICKET, IN_A_MINUTE);
  t.truthy(await verifyAt(NOW + 89_000)(token));
  await t.throwsAsync(verifyAt(NOW + 90_000)(token), { code: 'unauthenticated', message: /no longer good/ });
});

test('What no key here has signed as it stands is no ticket', async (t) => {
  const token = await sign(TICKET, IN_A_MINUTE);
  const [header = '', payload = ''] = token.split('.');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const secret = Buffer.from(KEY, 'base64');
  const kid = JSON.parse(Buffer.from(header, 'base64url').toString()).kid;
  const other = (alg: string) => new SignJWT({ ...TICKET }).setProtectedHeader({ alg, kid });
  const wrong = {
    'alg none': `${none}.${payload}.`,
    'alg none, with the key named': `${changed(token, 0, (value) => Object.assign(value, { alg: 'none' }))}`,
    'no signature': `${header}.${payload}.`,
    'another order': changed(token, 1, (value) => Object.assign(value, { order: TICKET.produces.uuid })),
    'another attempt': changed(token, 1, (value) => Object.assign(value, { attempt: 3 })),
    'another pin': changed(token, 1, (value) => Object.assign(value, { pin: 'b'.repeat(64) })),
    'a later end': changed(token, 1, (value) => Object.assign(value, { exp: NOW })),
    'another key': await ticketSigner(ticketKeysOf(newKey(), 'here'))(TICKET, IN_A_MINUTE),
    'the key under another name': changed(token, 0, (value) => Object.assign(value, { kid: 'x' })),
    'another algorithm': await other('HS512')
      .setAudience('storage-api')
      .setExpirationTime(IN_A_MINUTE)
      .sign(Buffer.concat([secret, secret])),
    'for somebody else': await other('HS256').setExpirationTime(IN_A_MINUTE).sign(secret),
    'without an end': await other('HS256').setAudience('storage-api').sign(secret),
    'without an order': await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256', kid })
      .setAudience('storage-api')
      .setExpirationTime(IN_A_MINUTE)
      .sign(secret),
  };
  for (const [what, one] of Object.entries(wrong)) {
    await t.throwsAsync(verify(one), { code: 'unauthenticated', message: /no ticket/ }, what);
  }
});

test('What is no ticket by its form may be credentials', async (t) => {
  const verifyField = ticketVerifier(keys);
  const token = await sign(TICKET, IN_A_MINUTE);
  for (const field of [
    undefined,
    '',
    'Bearer ann.secret',
    'Bearer a.b.c',
    `Basic ${token}`,
    `Bearer ${token}.x`,
  ])
    t.is(await verifyField(field), undefined, field);
});

test('Of several keys the first signs, and each is known', async (t) => {
  const [before, after] = [KEY, newKey()];
  const both = ticketKeysOf(`# the new one\n${after}\n\n${before}\n`, 'here');
  t.truthy(await verifyAt(NOW, both)(await sign(TICKET, IN_A_MINUTE)));
  const signed = await ticketSigner(both)(TICKET, IN_A_MINUTE);
  t.truthy(await verifyAt(NOW, ticketKeysOf(after, 'here'))(signed));
  await t.throwsAsync(verify(signed), { code: 'unauthenticated' });
});

test('Keys that are none are refused by their place, and not shown', (t) => {
  const short = randomBytes(31).toString('base64');
  for (const text of [`${KEY}\n${short}`, `${KEY}\n${short}!`, '', '# nothing']) {
    const error = t.throws(() => ticketKeysOf(text, 'keys.txt'), {
      code: 'invalid_request',
      message: /keys\.txt/,
    });
    t.false(error?.message.includes(short));
  }
});

test('A file of keys is read again when it changes; while it cannot be read, the keys before hold', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ticket-keys-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'keys');
  await t.throwsAsync(
    openTicketKeys(file, () => t.fail()),
    {
      code: 'invalid_request',
      message: /cannot be read: ENOENT/,
    },
  );
  await writeFile(file, KEY);
  let now = 0;
  const errors: unknown[] = [];
  const fromFile = await openTicketKeys(
    file,
    (error) => errors.push(error),
    () => now,
  );
  const check = verifyAt(NOW, fromFile);
  const old = await sign(TICKET, IN_A_MINUTE);
  t.truthy(await check(old));
  const next = newKey();
  await writeFile(join(folder, 'next'), next);
  await rename(join(folder, 'next'), file);
  t.truthy(await check(old), 'it is looked at once a second');
  t.truthy(
    await check(await ticketSigner(ticketKeysOf(next, 'here'))(TICKET, IN_A_MINUTE)),
    'or for a new key',
  );
  await t.throwsAsync(check(old), { code: 'unauthenticated' });
  const [{ id } = { id: '' }] = await fromFile();
  await rm(file);
  now = 2_000;
  t.deepEqual(
    (await fromFile()).map((key) => key.id),
    [id],
  );
  t.is(errors.length, 1);
});

test('What compute-apis show to one another is no ticket, and a ticket is none of it', async (t) => {
  const known = instanceVerifier(keys);
  const token = await instanceSigner(keys)();
  t.deepEqual(await known(`Bearer ${token}`), { name: 'another compute-api', roles: ['compute'] });
  t.is(await known('Basic YTpi'), undefined);
  await t.throwsAsync(ticketVerifier(keys)(`Bearer ${token}`), { code: 'unauthenticated' });
  const soon = new Date(Date.now() + 60_000);
  await t.throwsAsync(known(`Bearer ${await sign(TICKET, soon)}`), { code: 'unauthenticated' });
  const stranger = await instanceSigner(ticketKeysOf(newKey(), 'there'))();
  await t.throwsAsync(known(`Bearer ${stranger}`), { code: 'unauthenticated', message: /another key/ });
});
