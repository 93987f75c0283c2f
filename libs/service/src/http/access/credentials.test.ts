import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { cheapHash } from '../testing/cheap-hash.ts';
import { basic } from '../testing/talk.ts';
import { createCallers, credentials } from './credentials.ts';
import { hashSecret, verifySecret } from './scrypt.ts';

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

test('A right secret is hashed once, however the field spells it', async (t) => {
  let hashed = 0;
  const { authenticate } = createCallers([entry], async (...given) => {
    hashed++;
    return await verifySecret(...given);
  });
  const field = basic('ann', 'pass:wörd').authorization;
  const decomposed = basic('ann', 'pass:wörd'.normalize('NFD')).authorization;
  for (const right of [field, field.replace('Basic ', 'basic   '), decomposed]) {
    t.is((await authenticate(right))?.name, 'ann', right);
  }
  t.is(hashed, 1);
  const latin1 = `Basic ${Buffer.from('ann:pass:wörd', 'latin1').toString('base64')}`;
  const malformed = [`${field} `, `${field}=`, `${field}~`, field.replace('Basic ', 'Basic .'), latin1];
  for (const wrong of malformed) t.is(await authenticate(wrong), null, wrong);
  t.is(hashed, 1);
});

test('Whatever others send, a secret that was right is not hashed again', async (t) => {
  let hashed = 0;
  const bob = { ...entry, name: 'bob', secretHash: cheapHash('other') };
  const { authenticate } = createCallers([entry, bob], async (...given) => {
    hashed++;
    return await verifySecret(...given);
  });
  t.is((await authenticate('Bearer bob.other'))?.name, 'bob');
  const field = basic('ann', 'pass:wörd').authorization;
  for (let n = 0; n < 1100; n++) {
    t.is((await authenticate(field.replace(' ', ' '.repeat(n + 1))))?.name, 'ann');
    await authenticate(`Bearer ann.${n}`);
  }
  const before = hashed;
  t.is((await authenticate('Bearer bob.other'))?.name, 'bob');
  t.is(hashed, before);
});

test('One client, by its address or by the name that it claims, leaves room in the line to others', async (t) => {
  const gate = Promise.withResolvers<void>();
  const { authenticate } = createCallers([entry], async (...given) => {
    await gate.promise;
    return await verifySecret(...given);
  });
  const guess = async () => async () => undefined;
  const ask = (from: string | undefined, field: string) => authenticate(field, { from, guess });
  const many = (from: string | undefined, name: string) =>
    Promise.allSettled(Array.from({ length: 40 }, (_, n) => ask(from, `Bearer ${name}.${from}-${n}`)));
  const floods = [many('192.0.2.1', 'eve'), many(undefined, 'eve')];
  const ann = [ask('192.0.2.2', 'Bearer ann.wrong'), ask(undefined, basic('ann', 'pass:wörd').authorization)];
  gate.resolve();
  t.deepEqual(
    (await Promise.all(ann)).map((one) => one?.name),
    [undefined, 'ann'],
  );
  const refused = (await Promise.all(floods)).map((flood) =>
    flood.filter(({ status }) => status === 'rejected'),
  );
  t.deepEqual(
    refused.map(({ length }) => length),
    [40 - 2 - 16, 40 - 16],
  );
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
  t.throws(() => credentials([entry, entry]), { message: /^"ann" is given twice: / });
  t.throws(() => credentials([{ ...entry, name: 'a.b' }]), {
    message: /^The name "a\.b" should be 1 to 100/,
  });
  t.throws(() => credentials([{ ...entry, secretHash: 'x' }]), {
    message: /of "ann" .*morpheo credentials set ann --replace/,
  });
});

test('Who is taken out is let in no more, though the secret was right before; who stays has the new roles', async (t) => {
  const bob = { ...entry, name: 'bob', secretHash: cheapHash('other') };
  const callers = createCallers([entry, bob]);
  t.is((await callers.authenticate('Bearer bob.other'))?.name, 'bob');
  t.is((await callers.authenticate(basic('ann', 'pass:wörd').authorization))?.name, 'ann');
  callers.replace('file', [{ ...bob, roles: ['uploader'] }]);
  t.is(await callers.authenticate(basic('ann', 'pass:wörd').authorization), null);
  t.deepEqual(await callers.authenticate('Bearer bob.other'), { name: 'bob', roles: ['uploader'] });
  callers.replace('file', [{ ...bob, secretHash: cheapHash('changed') }]);
  t.is(await callers.authenticate('Bearer bob.other'), null);
  t.is((await callers.authenticate('Bearer bob.changed'))?.name, 'bob');
});

test('A secret that was wrong is looked at anew when callers have changed', async (t) => {
  const callers = createCallers([entry]);
  t.is(await callers.authenticate('Bearer bob.other'), null);
  callers.replace('people', [{ name: 'bob', roles: ['reader'], secretHash: cheapHash('other') }]);
  t.is((await callers.authenticate('Bearer bob.other'))?.name, 'bob');
});

test('Who goes while the secret is being hashed is not let in, and who comes is not kept out', async (t) => {
  const hashing = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const callers = createCallers([entry], async (...given) => {
    hashing.resolve();
    await gate.promise;
    return await verifySecret(...given);
  });
  const ann = callers.authenticate(basic('ann', 'pass:wörd').authorization);
  const bob = callers.authenticate('Bearer bob.other');
  await hashing.promise;
  callers.replace('file', [{ name: 'bob', roles: ['reader'], secretHash: cheapHash('other') }]);
  gate.resolve();
  t.is(await ann, null);
  t.is(await bob, null, 'it was asked of those who were there before');
  t.is((await callers.authenticate('Bearer bob.other'))?.name, 'bob');
});

test('A person may have several tokens, each by itself', async (t) => {
  const tokens = ['first', 'second'].map((token) => ({
    ...{ name: 'eve', roles: ['reader'] as const, token },
    secretHash: cheapHash(`${token}.secret`),
  }));
  const callers = createCallers([entry]);
  t.deepEqual(callers.replace('people', tokens), []);
  for (const token of ['first', 'second']) {
    t.is((await callers.authenticate(`Bearer eve.${token}.secret`))?.name, 'eve');
    t.is((await callers.authenticate(basic('eve', `${token}.secret`).authorization))?.name, 'eve');
  }
  for (const wrong of ['eve.third.secret', 'eve.first.', 'eve.secret', 'eve.first.secret.', 'eve.first']) {
    t.is(await callers.authenticate(`Bearer ${wrong}`), null, wrong);
  }
  callers.replace('people', tokens.slice(1));
  t.is(await callers.authenticate('Bearer eve.first.secret'), null);
  t.is((await callers.authenticate('Bearer eve.second.secret'))?.name, 'eve');
});

test('A name of the file is nobody else, whichever came first', async (t) => {
  const callers = createCallers([]);
  const person = {
    name: 'ann',
    roles: ['admin'] as const,
    token: 'one',
    secretHash: cheapHash('one.secret'),
  };
  t.deepEqual(callers.replace('people', [person]), []);
  t.is((await callers.authenticate('Bearer ann.one.secret'))?.name, 'ann');
  t.deepEqual(callers.replace('file', [entry]), ['ann']);
  t.is(await callers.authenticate('Bearer ann.one.secret'), null);
  t.deepEqual(callers.rolesOf('ann', 'file'), ['reader']);
  t.deepEqual(callers.rolesOf('ann', 'people'), ['admin']);
  t.is(callers.rolesOf('bob', 'file'), undefined);
  t.throws(() => callers.replace('file', [entry, entry]), { code: 'invalid_request' });
  t.is((await callers.authenticate(basic('ann', 'pass:wörd').authorization))?.name, 'ann', 'nothing changed');
});

test('To be refused costs the same hashes under any name, known or not', async (t) => {
  const dear = `scrypt$4$${secretHash.split('$').slice(2).join('$')}`;
  const costs: number[] = [];
  const callers = createCallers(
    [
      { ...entry, name: 'cheap' },
      { ...entry, name: 'dear', secretHash: dear },
      { ...entry, name: 'eve', token: 'one' },
    ],
    async (secret, hash) => {
      costs.push(hash.N);
      return await verifySecret(secret, hash);
    },
  );
  for (const field of ['cheap.x', 'dear.x', 'nobody.x', 'eve.x', 'eve.one', 'eve.one.x', 'nobody.one.x']) {
    t.is(await callers.authenticate(`Bearer ${field}`), null);
    t.deepEqual(costs.splice(0), [2, 4], field);
  }
});
