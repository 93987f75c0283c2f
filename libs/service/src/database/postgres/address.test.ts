import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { nameOf, parsePostgresUrl } from './address.ts';

test('A URL names everything', (t) => {
  t.deepEqual(parsePostgresUrl('postgres://ada:p%40ss@db.example:6000/orders?sslmode=verify-full'), {
    host: 'db.example',
    port: 6000,
    database: 'orders',
    user: 'ada',
    password: 'p@ss',
    tls: 'system',
  });
  t.deepEqual(parsePostgresUrl('postgresql://ada@[::1]/orders'), {
    host: '::1',
    port: 5432,
    database: 'orders',
    user: 'ada',
  });
  t.is(parsePostgresUrl('postgres://ada@localhost/orders?host=/run/postgresql').host, '/run/postgresql');
});

const REFUSED: readonly [string, RegExp][] = [
  ['mysql://ada:hunter22@db/orders', /should be postgres:/],
  ['no url hunter22', /should be postgres:/],
  ['postgres://ada:hunter22@db', /name a host, a database and a user/],
  ['postgres://:hunter22@db/orders', /name a host, a database and a user/],
  ['postgres://ada:hunter22@db/orders?sslmode=require', /does not check whom it talks to/],
  ['postgres://ada:hunter22@db/orders?pool=3', /says pool, which is not understood/],
];

for (const [url, problem] of REFUSED) {
  test(`The URL ${url} is refused without its password`, (t) => {
    const error = t.throws(() => parsePostgresUrl(url));
    t.true(isPlatformError(error, 'invalid_request'));
    t.regex(error.message, problem);
    t.notRegex(error.message, /hunter22/);
  });
}

test('A database is named by its server and name', (t) => {
  const address = { host: '::1', port: 5432, database: 'orders', user: 'ada', password: 'hunter22' };
  t.is(nameOf(address), 'PostgreSQL at [::1]:5432, database "orders"');
});
