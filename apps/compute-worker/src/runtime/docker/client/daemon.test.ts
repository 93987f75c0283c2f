import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { openDockerRuntime } from '../index.ts';
import { optionsFor } from '../testing/harness.ts';
import { readAddress } from './address.ts';
import { Daemon } from './daemon.ts';

async function serve(answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `tcp://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function daemonAt(host: string, callMs = 60_000): Daemon {
  return new Daemon({ address: readAddress(host, false), certificates: undefined, callMs });
}

test('Addresses are read as Docker has them', (t) => {
  t.like(readAddress('unix:///run/docker.sock', false), { kind: 'socket', path: '/run/docker.sock' });
  t.like(readAddress('tcp://dind:2376', true), { kind: 'tcp', host: 'dind', port: 2376 });
  t.like(readAddress('tcp://dind:80', false), { port: 80 });
  t.like(readAddress('dind', true), { host: 'dind', port: 2376 });
  t.like(readAddress('tcp://[::1]', false), { host: '[::1]', port: 2375 });
  for (const bad of [
    'unix://relative',
    'ssh://somewhere',
    'ftp://x',
    'tcp://',
    'tcp://x/path',
    'tcp://u@x',
    '',
  ]) {
    t.throws(() => readAddress(bad, false), { code: 'invalid_request', message: /--docker-host/ }, bad);
  }
});

test('The path of a socket is answered with its address', (t) => {
  const expected = {
    code: 'invalid_request',
    message: /for a socket write unix:\/\/\/var\/run\/docker\.sock\./,
  };
  t.throws(() => readAddress('/var/run/docker.sock', false), expected);
});

test('A daemon that is not there is named, with what to do', async (t) => {
  const gone = daemonAt('unix:///no/such/docker.sock');
  await t.throwsAsync(gone.ping(), {
    code: 'unavailable',
    message:
      /unix:\/\/\/no\/such\/docker\.sock does not answer \(ENOENT\).*systemctl start docker.*--docker-host/,
  });
  await t.throwsAsync(daemonAt('tcp://127.0.0.1:9').ping(), { code: 'unavailable', message: /ECONNREFUSED/ });
});

test('A daemon that is too old is refused, and a newer one is spoken to in its oldest way', async (t) => {
  const asked: string[] = [];
  let version = { ApiVersion: '1.40', MinAPIVersion: '1.12' };
  await using server = await serve((request, response) => {
    asked.push(request.url ?? '');
    response.setHeader('content-type', 'application/json');
    response.end(request.url === '/version' ? JSON.stringify(version) : 'OK');
  });
  const daemon = daemonAt(server.host);
  await t.throwsAsync(daemon.ping(), { code: 'unavailable', message: /API 1\.40, and 1\.41 is needed/ });
  version = { ApiVersion: '1.52', MinAPIVersion: '1.44' };
  await daemon.ping();
  version = { ApiVersion: '1.52', MinAPIVersion: '1.24' };
  await daemonAt(server.host).ping();
  t.deepEqual(asked, ['/version', '/version', '/v1.44/_ping', '/version', '/v1.41/_ping']);
});

test('A daemon that does not answer in time is given up', async (t) => {
  await using server = await serve(() => undefined);
  await t.throwsAsync(daemonAt(server.host, 100).ping(), {
    code: 'unavailable',
    message: /no answer in time/,
  });
});

test('An answer that is cut short is an error, and not a wait for ever', async (t) => {
  await using server = await serve((request, response) => {
    response.setHeader('content-length', '100');
    response.write('{');
    setTimeout(() => request.socket.destroy(), 20);
  });
  await t.throwsAsync(daemonAt(server.host, 500).ping(), { code: 'unavailable' });
});

test('Certificates that are missing or none refuse at the start', async (t) => {
  await using folder = await temporaryFolder();
  const certificates = folder.path;
  const open = async () =>
    await openDockerRuntime(optionsFor('tcp://127.0.0.1:9', folder.path, { certificates }));
  await t.throwsAsync(open(), {
    code: 'invalid_request',
    message: /ca\.pem cannot be read.*--docker-cert-path/,
  });
  for (const name of ['ca.pem', 'cert.pem', 'key.pem']) await writeFile(join(folder.path, name), 'x');
  await t.throwsAsync(open(), { code: 'invalid_request', message: /is no PEM file/ });
});

test('What is no daemon and answers with a redirect is refused, and not followed', async (t) => {
  for (const location of ['//', 'http://127.0.0.1:9/x', '/elsewhere']) {
    await using server = await serve((request, response) => {
      t.not(request.url, '/elsewhere');
      response.writeHead(301, { location }).end();
    });
    await t.throwsAsync(daemonAt(server.host).ping(), { code: 'unavailable', message: /301/ });
  }
});
