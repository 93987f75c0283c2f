import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { talk } from '../testing/talk.ts';
import { isLoopback, openIntakeProblem, refuseOpenListen } from './bind.ts';

test('Loopback names and addresses are told from others', (t) => {
  for (const host of ['localhost', 'LOCALHOST', 'api.localhost', '127.0.0.1', '127.8.9.1', '::1', '[::1]']) {
    t.true(isLoopback(host), host);
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', 'localhost.evil.org', '128.0.0.1', '']) {
    t.false(isLoopback(host), host);
  }
});

test('Listening openly beyond loopback is refused until acknowledged', (t) => {
  const open = { host: '0.0.0.0', authenticated: false, acknowledged: false };
  t.throws(() => refuseOpenListen({ ...open, setting: '--open' }), {
    code: 'invalid_request',
    message: /--open/,
  });
  t.notThrows(() => refuseOpenListen({ ...open, authenticated: true }));
  t.notThrows(() => refuseOpenListen({ ...open, acknowledged: true }));
  t.notThrows(() => refuseOpenListen({ ...open, host: '127.0.0.1' }));
});

const statusFor = async (url: string, host: string) =>
  /^HTTP\/1.1 (\d+)/.exec(
    await talk(url, `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
  )?.[1];

test('On loopback only loopback names are answered', async (t) => {
  await using service = await openSmallService();
  for (const host of ['localhost', `127.0.0.1:${service.port}`, '[::1]:80', '127.0.0.9', 'LocalHost:1']) {
    t.is(await statusFor(service.url, host), '200', host);
  }
  for (const host of ['evil.example', `evil.example:${service.port}`, '10.0.0.1', '']) {
    t.is(await statusFor(service.url, host), '403', host);
  }
});

test('On loopback a name that the operator gives is answered as well', async (t) => {
  await using service = await openSmallService({ hosts: ['api.example', '[fd00::1]'] });
  for (const host of ['API.example:8080', '[fd00::1]:8080', 'localhost'])
    t.is(await statusFor(service.url, host), '200', host);
  for (const host of ['api.example.evil', '10.0.0.1']) t.is(await statusFor(service.url, host), '403', host);
});

test('Beyond loopback only names that the operator gives are answered, addresses, and loopback', async (t) => {
  await using service = await openSmallService({ host: '0.0.0.0', hosts: ['api.example'] });
  for (const host of [
    'api.example',
    'API.example:80',
    '10.0.0.1:8080',
    '[fd00::1]',
    'localhost',
    '127.0.0.1',
  ])
    t.is(await statusFor(service.url, host), '200', host);
  for (const host of ['evil.example', '10.0.0.1.evil.example', 'api.example.evil', ''])
    t.is(await statusFor(service.url, host), '403', host);
  await using any = await openSmallService({ host: '0.0.0.0' });
  t.is(await statusFor(any.url, 'evil.example'), '200', 'the operator named none');
});

test('A service that serves strangers beyond loopback needs to know its names', (t) => {
  const open = { host: '10.0.0.1', hosts: undefined, open: true };
  t.regex(openIntakeProblem(open) ?? '', /--hosts/);
  t.is(openIntakeProblem({ ...open, hosts: ['api.example'] }), undefined);
  t.is(openIntakeProblem({ ...open, host: 'localhost' }), undefined);
  t.is(openIntakeProblem({ ...open, open: false }), undefined);
});
