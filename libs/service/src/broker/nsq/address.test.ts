import test from 'ava';
import fc from 'fast-check';
import { formatAddress, httpBase, nsqdAddresses, nsqHttpAddresses, parseAddress } from './address.ts';

test('An address is read as it is written', (t) => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().filter((text) => /^[\da-f:]+$/i.test(text)),
  );
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      t.deepEqual(parseAddress(formatAddress({ host: name, port })), { host: name, port });
    }),
  );
});

test('What is no address is refused with a remedy', (t) => {
  for (const text of [
    '',
    'nsqd',
    ':4150',
    'nsqd:',
    'nsqd:0',
    'nsqd:65536',
    'a b:1',
    '::1:4150',
    'nsqd:4150/x',
  ]) {
    t.throws(() => parseAddress(text), { code: 'invalid_request', message: /write host:port/ }, text);
  }
});

test('HTTP addresses are of either form', (t) => {
  t.is(httpBase('nsqlookupd:4161').href, 'http://nsqlookupd:4161/');
  t.is(httpBase('https://nsq.example.org/lookupd').href, 'https://nsq.example.org/lookupd');
  t.throws(() => httpBase('http://'), { code: 'invalid_request' });
});

test('A list of addresses names each that is none', (t) => {
  t.deepEqual(nsqdAddresses.parse('a:1, b:2'), ['a:1', 'b:2']);
  t.is(nsqdAddresses.safeParse('a,b:2,c').error?.issues.length, 2);
  t.deepEqual(nsqHttpAddresses.parse('a:1,http://b'), ['a:1', 'http://b']);
});
