import test from 'ava';
import fc from 'fast-check';
import { hasCredentials, withoutCredentials } from './index.ts';

test('No password of an address is shown, whatever it is made of', (t) => {
  const password = fc.stringMatching(/^[^\s"',]{8,20}$/).filter((text) => !text.includes('secret'));
  const before = fc.constantFrom('http://', 'postgres://', 'http://host:1,http://', '', 'got "');
  fc.assert(
    fc.property(before, password, (start, secret) => {
      const text = `${start}me:${secret}@host:80/path`;
      t.false(withoutCredentials(text).includes(secret), text);
      t.true(hasCredentials(text));
    }),
  );
});

test('Addresses without credentials are shown as they are', (t) => {
  for (const text of [
    'http://127.0.0.1:8081/a',
    'nsqd:4150,[::1]:4150',
    'unix:///var/run/docker.sock',
    '/var/lib/morpheo@2',
    'me@example.org',
  ]) {
    t.is(withoutCredentials(text), text);
    t.false(hasCredentials(text));
  }
});
