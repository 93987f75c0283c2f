import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { credentials } from './credentials.ts';
import { hashSecret } from './scrypt.ts';
import { cheapHash } from './testing/cheap-hash.ts';
import { basic } from './testing/talk.ts';

const secretHash = cheapHash('pass:wörd');
const entry = { name: 'ann', roles: ['reader'], secretHash } as const;

test('Basic and Bearer credentials name their principal', async (t) => {
  const authenticate = credentials([entry]);
  const ann = { name: 'ann', roles: ['reader'] };
  t.deepEqual(await authenticate(basic('ann', 'pass:wörd').authorization), ann);
  const token = credentials([{ ...entry, secretHash: cheapHash('a.b') }]);
  t.deepEqual(await token('Bearer ann.a.b'), ann);
  t.deepEqual(await token('bearer  ann.a.b'), ann);
});

test('Wrong, unknown and malformed credentials name nobody', async (t) => {
  const authenticate = credentials([entry]);
  const fields = [
    basic('ann', 'wrong').authorization,
    basic('ann', '').authorization,
    // To the hash it would be the same secret.
    basic('ann', 'pass:wörd\0').authorization,
    basic('bob', 'pass:wörd').authorization,
    basic('', 'pass:wörd').authorization,
    'Bearer ann',
    'Basic',
    'Digest ann:x',
    '',
    undefined,
  ];
  for (const field of fields) t.is(await authenticate(field), null, field);
  t.is(await credentials([])(basic('ann', 'x').authorization), null);
});

test('A wrong secret stays wrong and a right one stays right', async (t) => {
  const authenticate = credentials([entry]);
  for (let round = 0; round < 3; round++) {
    t.is(await authenticate(basic('ann', 'wrong').authorization), null);
    t.is((await authenticate(basic('ann', 'pass:wörd').authorization))?.name, 'ann');
  }
});

test('A flood of guesses is refused while known secrets pass', async (t) => {
  const authenticate = credentials([entry]);
  await authenticate(basic('ann', 'pass:wörd').authorization);
  const guesses = Array.from({ length: 80 }, (_, at) =>
    authenticate(basic('ann', `guess ${at}`).authorization),
  );
  const outcomes = Promise.allSettled(guesses);
  t.is((await authenticate(basic('ann', 'pass:wörd').authorization))?.name, 'ann');
  const refused = (await outcomes).filter(({ status }) => status === 'rejected');
  t.is(refused.length, 80 - 2 - 64);
  t.true(refused.every((one) => 'reason' in one && isPlatformError(one.reason, 'rate_limited')));
});

test('A hashed secret is known again, and its hash differs each time', async (t) => {
  const [first, second] = await Promise.all([hashSecret('x'), hashSecret('x')]);
  t.not(first, second);
  t.regex(first, /^scrypt\$32768\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
  const authenticate = credentials([{ ...entry, secretHash: first }]);
  t.is((await authenticate('Bearer ann.x'))?.name, 'ann');
  t.is(await authenticate('Bearer ann.y'), null);
});

test('Entries that are malformed or given twice are refused', (t) => {
  const [, N, r, p, salt, key] = secretHash.split('$');
  const bad = [
    [{ ...entry, name: 'a.b' }],
    [{ ...entry, name: 'a:b' }],
    [{ ...entry, name: '' }],
    [entry, entry],
    [{ ...entry, secretHash: 'pass:wörd' }],
    [{ ...entry, secretHash: `scrypt$${2 ** 30}$${r}$${p}$${salt}$${key}` }],
    [{ ...entry, secretHash: `scrypt$1000$${r}$${p}$${salt}$${key}` }],
    [{ ...entry, secretHash: `scrypt$${N}$${r}$${p}$${salt}$` }],
  ];
  for (const entries of bad) {
    t.throws(() => credentials(entries), { code: 'invalid_request' }, JSON.stringify(entries));
  }
});
