import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createAuthority, freePort, requireProgram, startServer, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { KEY, openDicebox } from '../testing/open-dicebox.ts';

const test = withParts(ava, 'nginx');
const EXAMPLE = new URL('../../../../examples/pictures/nginx/dicebox.conf', import.meta.url);
const HEADERS = { 'API-ACCESS-KEY': KEY, 'API-VERSION': '0.3.0', 'content-type': 'application/json' };

test('Behind nginx, as the example has it, both services answer by their names, over TLS', async (t) => {
  await using sensory = await openDicebox({ serve: ['sensory', 'training'], hosts: ['sensory.example.org'] });
  await using classification = await openDicebox({
    serve: ['classification'],
    hosts: ['classification.example.org'],
  });
  await using proxy = await openNginx({ '8002': sensory.url, '8003': classification.url });

  for (const name of ['sensory', 'classification']) {
    const health = await proxy.ask(name, '/health/plain');
    t.deepEqual([health.status, health.text], [200, 'true'], name);
    const origin = 'https://page.example';
    const foreign = await proxy.ask(name, '/api/version', { headers: { origin } });
    t.is(foreign.headers['access-control-allow-origin'], origin, name);
  }
  t.is((await proxy.ask('sensory', '/api/category')).status, 404);
  const wrong = await proxy.ask('sensory', '/api/sensory/category', {
    headers: { 'API-ACCESS-KEY': 'wrong' },
  });
  t.is(wrong.status, 403);
  t.regex(wrong.text, /<title>403 Forbidden<\/title>\n<h1>Forbidden<\/h1>\n<p>The key/);

  const body = JSON.stringify({ data: 'A'.repeat(12 * 1024 ** 2) });
  const large = await proxy.ask('classification', '/api/classify', { body });
  t.deepEqual([large.status, JSON.parse(large.text)], [200, { classification: -1 }]);
});

test('A training that is ordered by a GET is asked for once, though its service breaks off', async (t) => {
  const asked: string[] = [];
  const broken = createServer((socket) => {
    socket.once('data', (bytes) => {
      asked.push(bytes.toString().split(' ')[1] ?? '');
      socket.destroy();
    });
  });
  await once(broken.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => broken.close());
  const url = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
  await using proxy = await openNginx({ '8002': url, '8003': url });
  t.is((await proxy.ask('sensory', '/api/train/request')).status, 502);
  t.deepEqual(
    asked.filter((path) => path === '/api/train/request'),
    ['/api/train/request'],
  );
});

/** nginx with the configuration of the example, before services that listen elsewhere than there. */
async function openNginx(services: Readonly<Record<string, string>>) {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await createAuthority());
  const { certFile, keyFile } = await authority.certify(
    'dicebox',
    'DNS:sensory.example.org,DNS:classification.example.org',
  );
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-nginx-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  await chmod(folder, 0o777);
  const port = await freePort();
  const example = (await readFile(EXAMPLE, 'utf8'))
    .replaceAll(/127\.0\.0\.1:(\d+)/g, (_all, usual: string) => new URL(services[usual] ?? '').host)
    .replaceAll('listen 443', `listen 127.0.0.1:${port}`)
    .replaceAll(/\/etc\/nginx\/tls\/\w+\.pem/g, certFile)
    .replaceAll(/\/etc\/nginx\/tls\/\w+\.key/g, keyFile);
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const places = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n');
  const config = join(folder, 'nginx.conf');
  await writeFile(
    config,
    `daemon off;\nworker_processes 1;\npid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${places}\n${example}}\n`,
  );
  const ask = async (
    name: string,
    path: string,
    { headers = {}, body }: { readonly headers?: Record<string, string>; readonly body?: string } = {},
  ) => {
    const host = `${name}.example.org`;
    const call = request({
      ...{ host: '127.0.0.1', port, servername: host, ca: authority.ca, path, agent: false },
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...HEADERS, host, ...headers },
    });
    call.end(body);
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    return { status: answer.statusCode, headers: answer.headers, text: await text(answer) };
  };
  stack.use(
    await startServer({
      command: requireProgram('nginx'),
      args: ['-c', config, '-e', 'stderr'],
      ready: async () => await ask('sensory', '/health'),
    }),
  );
  const opened = stack.move();
  return { ask, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}
