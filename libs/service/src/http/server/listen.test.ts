import { once } from 'node:events';
import { copyFile, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { type Certificate, createAuthority } from '@morpheo/real-parts';
import test from 'ava';
import { eventually } from '../../testing/index.ts';
import { openSmallService } from '../testing/small-service.ts';

test('A taken address is told with a remedy', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  await t.throwsAsync(() => openSmallService({ port: port ?? 0 }), {
    code: 'unavailable',
    message: `Cannot listen on 127.0.0.1:${port}: another process uses this address; stop it, or choose another port.`,
  });
  taken.close();
});

test('An address of another machine is told with a remedy', async (t) => {
  await t.throwsAsync(() => openSmallService({ host: '192.0.2.1' }), {
    code: 'unavailable',
    message: /this machine does not have this address/,
  });
});

test('A certificate and a key that are no pair are refused, also where one is empty', async (t) => {
  await using authority = await createAuthority();
  const [one, other] = [
    await authority.certify('one', 'IP:127.0.0.1'),
    await authority.certify('other', 'IP:127.0.0.1'),
  ];
  const key = await readFile(one.keyFile, 'utf8');
  // Whoever replaces a file by writing into it leaves it empty for a moment.
  const pairs = [
    { cert: 'x', key: 'y' },
    { cert: one.cert, key: '' },
    { cert: '', key },
    { cert: one.cert, key: key.slice(0, 100) },
    { cert: other.cert, key },
  ];
  for (const tls of pairs) await t.throwsAsync(() => openSmallService({ tls }), { code: 'invalid_request' });
});

test('A certificate that is replaced is shown to new connections, and those that are open stay', async (t) => {
  await using authority = await createAuthority();
  const [first, second] = [
    await authority.certify('first', 'IP:127.0.0.1'),
    await authority.certify('second', 'IP:127.0.0.1'),
  ];
  await using folder = await mkdtempDisposable(join(tmpdir(), 'tls-'));
  const files = { cert: join(folder.path, 'cert.pem'), key: join(folder.path, 'key.pem') };
  const put = async (pair: Certificate) => {
    await copyFile(pair.keyFile, files.key);
    await copyFile(pair.certFile, files.cert);
  };
  await put(first);
  const tls = { cert: first.cert, key: first.key, files, everyMs: 1 };
  await using service = await openSmallService({ tls });
  const open = async () => {
    const options = { host: '127.0.0.1', port: service.port, ca: authority.ca };
    const socket = connectTls(options);
    await once(socket, 'secureConnect');
    return socket;
  };
  const shown = async () => {
    const socket = await open();
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  };
  const early = await open();
  t.is(await shown(), 'first');
  await writeFile(files.cert, second.cert);
  await eventually(t, (t) => {
    const warnings = service.log.entries.filter(({ level }) => level === 'warn');
    t.regex(JSON.stringify(warnings), /are no pair of PEM texts/);
  });
  t.is(await shown(), 'first', 'while the key is the old one');
  await put(second);
  await eventually(t, async (t) => t.is(await shown(), 'second'));
  early.write('GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  const [answer] = await once(early, 'data');
  t.regex(String(answer), /^HTTP\/1\.1 200 /);
  early.destroy();
});

test('Draining answers what is under way and closes idle connections', async (t) => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const drop = async () => {
    started.resolve();
    await finish.promise;
    return undefined;
  };
  const service = await openSmallService({ api: { drop } });
  const agent = new Agent({ keepAlive: true });
  const idle = get(`${service.url}/health`, { agent });
  const [first] = await once(idle, 'response');
  first.resume();
  await once(first, 'end');
  const underWay = fetch(`${service.url}/v1/things/a`, { method: 'DELETE' });
  await started.promise;
  const drained = service.drain();
  await t.throwsAsync(fetch(`${service.url}/health`));
  finish.resolve();
  t.is((await underWay).status, 204);
  await drained;
  await service.drain();
  agent.destroy();
});

test('Draining closes connections on which no request ever came', async (t) => {
  // Longer than the test may take: whoever waits for it fails.
  const service = await openSmallService({ graceMs: 600_000 });
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  await once(socket, 'connect');
  await (await fetch(`${service.url}/health`)).text();
  await Promise.all([service.drain(), once(socket, 'close')]);
  t.pass();
});

test('Draining ends live streams without telling an end', async (t) => {
  const watch = async (_input: unknown, call?: { signal?: AbortSignal | undefined }) =>
    (async function* () {
      yield { id: '1', event: 'x', data: { n: 1 } };
      if (call?.signal !== undefined) await once(call.signal, 'abort');
    })();
  const service = await openSmallService({ api: { watch } });
  const response = await fetch(`${service.url}/v1/things/a/events`);
  const reader = response.body?.getReader();
  await reader?.read();
  await service.drain();
  let rest = '';
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    rest += new TextDecoder().decode(next.value);
  }
  t.false(rest.includes('event: end'));
});

test('Draining tells live bytes to end', async (t) => {
  const follow = async (_input: unknown, call?: { signal?: AbortSignal | undefined }) => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode('line\n'));
        if (call?.signal !== undefined) await once(call.signal, 'abort');
        controller.close();
      },
    }),
  });
  const service = await openSmallService({ api: { follow } });
  const response = await fetch(`${service.url}/v1/things/a/log`);
  await service.drain();
  t.is(await response.text(), 'line\n');
});

test('What does not end within the grace time is aborted', async (t) => {
  const started = Promise.withResolvers<void>();
  const drop = async (_input: unknown, call?: { signal?: AbortSignal | undefined }) => {
    started.resolve();
    if (call?.signal !== undefined) await once(call.signal, 'abort');
    throw call?.signal?.reason;
  };
  const service = await openSmallService({ api: { drop }, graceMs: 20 });
  const underWay = fetch(`${service.url}/v1/things/a`, { method: 'DELETE' });
  await started.promise;
  await service.drain();
  const response = await underWay;
  t.is(response.status, 503);
  t.like(await response.json(), { code: 'unavailable' });
});

test('A handler that ignores the abort is cut', async (t) => {
  const started = Promise.withResolvers<void>();
  const drop = () => {
    started.resolve();
    return new Promise<undefined>(() => undefined);
  };
  const service = await openSmallService({ api: { drop }, graceMs: 20 });
  const underWay = t.throwsAsync(fetch(`${service.url}/v1/things/a`, { method: 'DELETE' }));
  await started.promise;
  await service.drain();
  await underWay;
});
