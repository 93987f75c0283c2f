import test from 'ava';
import { isLoopback, refuseOpenListen } from './bind.ts';
import { openSmallService } from './testing/small-service.ts';
import { talk } from './testing/talk.ts';

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

test('The names of a service can be set', async (t) => {
  await using service = await openSmallService({ hosts: ['api.example'] });
  t.is(await statusFor(service.url, 'API.example:8080'), '200');
  t.is(await statusFor(service.url, 'localhost'), '403');
});
