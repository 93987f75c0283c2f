import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAuthority, startNsqd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { Secret } from '../../config/index.ts';
import { memoryLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import { listen, until } from '../conformance-listeners.ts';
import { openWith } from './nsq.fixture.ts';
import { readNsqSecurity } from './settings.ts';

const test = withParts(ava, 'nsq');

test('TLS with certificates of both sides carries messages', async (t) => {
  await using authority = await createAuthority();
  const server = await authority.certify('nsqd', 'IP:127.0.0.1');
  const ours = await authority.certify('worker', 'DNS:worker');
  const tls = { cert: server.certFile, key: server.keyFile, ca: authority.caFile, required: true };
  await using nsqd = await startNsqd({ tls });
  await using broker = openWith({
    nsqds: [nsqd.tcp],
    tls: { ca: authority.ca, cert: ours.cert, key: ours.key },
  });
  const heard = await listen(broker, 'train');
  await broker.ping();
  await broker.publish('train', 'x'.repeat(50_000));
  await until(() => heard.messages.length === 1);
  // Longer than the silence after which a connection is taken for dead: the plain socket below TLS is silent.
  await new Promise((resolve) => setTimeout(resolve, 6500));
  await broker.publish('train', 'y');
  await until(() => heard.messages.length === 2);
  t.deepEqual(broker.said('warn'), []);
});

test('The name in the certificate is that of the address', async (t) => {
  await using authority = await createAuthority();
  const { certFile, keyFile } = await authority.certify('nsqd', 'DNS:localhost');
  await using nsqd = await startNsqd({ tls: { cert: certFile, key: keyFile } });
  const tls = { ca: authority.ca };
  await using wrong = openWith({ nsqds: [nsqd.tcp], tls });
  await t.throwsAsync(wrong.publish('train', 'x'), { message: /do not trust each other .*IP: 127\.0\.0\.1/ });
  await t.throwsAsync(wrong.ping(), { code: 'unavailable' });
  await using right = openWith({ nsqds: [nsqd.tcp.replace('127.0.0.1', 'localhost')], tls });
  await right.publish('train', 'x');
  await right.ping();
});

test('An authority that is not ours is not trusted', async (t) => {
  await using authority = await createAuthority();
  await using other = await createAuthority();
  const { certFile, keyFile } = await authority.certify('nsqd', 'IP:127.0.0.1');
  await using nsqd = await startNsqd({ tls: { cert: certFile, key: keyFile } });
  await using broker = openWith({ nsqds: [nsqd.tcp], tls: { ca: other.ca } });
  await t.throwsAsync(broker.publish('train', 'x'), { message: /do not trust each other/ });
});

test('New connections trust the authority that its file names at the time', async (t) => {
  await using stack = new AsyncDisposableStack();
  const [authority, other] = [stack.use(await createAuthority()), stack.use(await createAuthority())];
  const { certFile, keyFile } = await authority.certify('nsqd', 'IP:127.0.0.1');
  const nsqd = stack.use(await startNsqd({ tls: { cert: certFile, key: keyFile } }));
  const values = { nsqCa: other.caFile, nsqCert: undefined, nsqKey: undefined, nsqSecret: undefined };
  const security = await readNsqSecurity(values, { log: memoryLog(), stack, everyMs: 1 });
  const broker = stack.use(openWith({ nsqds: [nsqd.tcp], ...security }));
  await t.throwsAsync(broker.publish('train', 'x'), { message: /do not trust each other/ });
  await writeFile(other.caFile, authority.ca);
  await eventually(t, async (t) => await t.notThrowsAsync(broker.publish('train', 'x')));
});

test('An nsqd without TLS gets neither message nor secret', async (t) => {
  const judged: string[] = [];
  await using judge = await startJudge(judged, []);
  await using nsqd = await startNsqd({ auth: judge.address });
  await using authority = await createAuthority();
  await using broker = openWith({ nsqds: [nsqd.tcp], tls: { ca: authority.ca }, secret: 'hidden' });
  await listen(broker, 'train');
  await t.throwsAsync(broker.publish('train', 'x'), { message: /offers no TLS/ });
  await t.throwsAsync(broker.ping(), { message: /offers no TLS.*leave the TLS settings out/ });
  t.deepEqual(judged, []);
});

test('An nsqd that wants TLS of everybody is told as such', async (t) => {
  await using authority = await createAuthority();
  const { certFile, keyFile } = await authority.certify('nsqd', 'IP:127.0.0.1');
  await using nsqd = await startNsqd({ tls: { cert: certFile, key: keyFile, required: true } });
  await using broker = openWith({ nsqds: [nsqd.tcp] });
  await t.throwsAsync(broker.publish('train', 'x'), { message: /takes TLS connections alone .*--nsq-ca/ });
  await t.throwsAsync(broker.ping(), { message: /takes TLS connections alone/ });
});

test('The right secret opens, a wrong one and none do not', async (t) => {
  const judged: string[] = [];
  await using judge = await startJudge(judged, ['.*']);
  await using nsqd = await startNsqd({ auth: judge.address });
  await using right = openWith({ nsqds: [nsqd.tcp], secret: 'right' });
  const heard = await listen(right, 'train');
  await right.publish('train', 'x');
  await right.ping();
  await until(() => heard.messages.length === 1);
  t.true(judged.includes('right'));
  for (const secret of ['wrong', undefined]) {
    await using broker = openWith({ nsqds: [nsqd.tcp], secret });
    await t.throwsAsync(broker.publish('train', 'x'), {
      message: /does not accept our secret .*--nsq-secret/,
    });
    await t.throwsAsync(broker.ping(), { message: /does not accept our secret/ });
    await listen(broker, 'train');
    await eventually(t, (again) => again.regex(broker.said('warn').join(), /does not accept our secret/));
    t.notRegex(JSON.stringify(broker.log.entries), /wrong/);
  }
});

test('A secret that is renewed is shown by the next connection', async (t) => {
  const judged: string[] = [];
  await using judge = await startJudge(judged, ['.*']);
  await using nsqd = await startNsqd({ auth: judge.address });
  const secret = new Secret('old', { setting: '--nsq-secret-file', path: '/secret', parse: (text) => text });
  await using broker = openWith({ nsqds: [nsqd.tcp], secret });
  await t.throwsAsync(broker.ping(), { message: /does not accept our secret/ });
  await secret.renew('right');
  await broker.ping();
  await broker.publish('train', 'x');
  t.deepEqual(new Set(judged), new Set(['old', 'right']));
});

test('A secret that permits other channels alone is told, and does no harm', async (t) => {
  await using judge = await startJudge([], ['other']);
  await using nsqd = await startNsqd({ auth: judge.address });
  await using broker = openWith({ nsqds: [nsqd.tcp], secret: 'right' });
  const heard = await listen(broker, 'train', 'compute');
  t.regex(broker.said('warn').join(), /does not accept our secret for this \(.*E_UNAUTHORIZED/);
  await t.throwsAsync(broker.publish('train', 'x'), { message: /E_UNAUTHORIZED/ });
  t.deepEqual(heard.messages, []);
  await t.throwsAsync(broker.ping(), { code: 'unavailable', message: /does not accept our secret for this/ });
});

test('A topic that may not be published is told by a ping, until it may [M16]', async (t) => {
  const permitted = ['other'];
  await using judge = await startJudge([], permitted);
  await using nsqd = await startNsqd({ auth: judge.address });
  await using broker = openWith({ nsqds: [nsqd.tcp], secret: 'right' });
  await broker.ping();
  await t.throwsAsync(broker.publish('train', 'x'), { message: /E_UNAUTHORIZED/ });
  await t.throwsAsync(broker.ping(), { code: 'unavailable', message: /secret for this \(.*E_UNAUTHORIZED/ });
  permitted.push('.*');
  await eventually(t, async (t) => await t.notThrowsAsync(broker.publish('train', 'x')));
  await eventually(t, async (t) => await t.notThrowsAsync(broker.ping()));
});

test('A channel that has no room for one more is told by a ping [M16]', async (t) => {
  await using nsqd = await startNsqd({ flags: ['--max-channel-consumers=1'] });
  await using first = openWith({ nsqds: [nsqd.tcp] });
  await listen(first, 'train', 'compute');
  await first.ping();
  await using second = openWith({ nsqds: [nsqd.tcp] });
  await listen(second, 'train', 'compute');
  await t.throwsAsync(second.ping(), { code: 'unavailable', message: /refuses us \(.*E_SUB_FAILED/ });
});

/** An authentication server that knows the secret `right`, and permits it these channels of every topic. */
async function startJudge(judged: string[], channels: readonly string[]) {
  const server = createServer((request, response) => {
    const secret = new URL(request.url ?? '', 'http://judge').searchParams.get('secret') ?? '';
    judged.push(secret);
    const authorizations =
      secret === 'right' ? [{ topic: '.*', channels, permissions: ['publish', 'subscribe'] }] : [];
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ttl: 60, identity: 'test', authorizations }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
