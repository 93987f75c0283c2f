import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imageText, job } from '@morpheo/common';
import { openDockerRuntime } from '@morpheo/compute-worker/docker';
import { openSharedDind, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { memoryLog } from '@morpheo/service/log';
import { allowedImagesList, Registries, registryCredentials } from '@morpheo/service/registry';
import { makeImage, startTestRegistry } from '@morpheo/service/registry/testing';
import { eventually } from '@morpheo/service/testing';
import anyTest, { type TestFn } from 'ava';
import { startPlatform } from '../platform.ts';

const test = withParts(anyTest as TestFn, 'docker');
const WHO = { username: 'robot', password: `planted-${randomUUID()}` } as const;

/** The platform on a daemon, with what a registry of a test has. */
async function openPlatform() {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startTestRegistry({ auth: { scheme: 'bearer', ...WHO } }));
  const dind = stack.use(await openSharedDind());
  const folder = stack.use(await temporaryFolder());
  const auth = Buffer.from(`${WHO.username}:${WHO.password}`).toString('base64');
  const credentials = registryCredentials.parse(JSON.stringify({ auths: { [registry.host]: { auth } } }));
  const allowed = allowedImagesList.parse(`${registry.address}/lab`);
  const registries = new Registries({ allowed, credentials: () => credentials });
  const log = memoryLog();
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const docker = {
    host: `unix://${dind.socketPath}`,
    data: 'archive',
    worker: randomUUID(),
    user,
    log,
  } as const;
  const platform = stack.use(
    await startPlatform({
      folder: join(folder.path, 'home'),
      openRuntime: async (own) => await openDockerRuntime({ ...docker, folder: own }),
      worker: { pollMs: 100, images: { registries, bytes: 2 ** 30, wallMs: 600_000 } },
      log,
    }),
  );
  const opened = stack.move();
  return { platform, registry, log, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

test('A job runs an image that the operator allows, another one fails, and nobody is told of credentials', async (t) => {
  await using bench = await openPlatform();
  const { platform, registry } = bench;
  const { compute, storage } = platform;
  const busybox = await readFile('/bin/busybox');
  const image = await makeImage({
    layers: [{ 'bin/busybox': busybox, note: randomUUID() }],
    config: { Entrypoint: ['/bin/busybox', 'sh', '-c'], Cmd: ['exit 9'], User: 'root' },
  });
  const order = async (repository: string) => {
    const reference = imageText(registry.put(repository, image));
    const script = 'b=/bin/busybox; $b cat /in/name > /outputs/said; $b env; $b id -u';
    const inputs = [{ path: '/in/name', inline: Buffer.from('hello').toString('base64') }];
    const body = job.parse({
      uuid: randomUUID(),
      image: reference,
      command: [script],
      inputs,
    });
    await compute.postJob({ body });
    return body.uuid;
  };
  const [allowed, other] = [await order('lab/tool'), await order('elsewhere/tool')];
  const ended = async (id: string) => {
    const done = await compute.getOrder({ params: { id } });
    return ['done', 'failed'].includes(done.status) ? done : undefined;
  };
  await eventually(t, async (inner) => {
    inner.truthy(await ended(allowed));
    inner.truthy(await ended(other));
  });
  const done = await ended(allowed);
  t.is(done?.status, 'done', JSON.stringify(done));
  const params = { uuid: done?.result?.uuid ?? '' };
  const { body: said } = await storage.getOutputFile({ params, query: { path: 'said' }, headers: {} });
  t.is(await new Response(said).text(), 'hello');
  const { body: printed } = await compute.orderLog({ params: { id: allowed }, query: {} });
  const text = await new Response(printed).text();
  t.regex(text, /build: image 127\.0\.0\.1:\d+\/lab\/tool: it is ready\n/);

  const failure = (await ended(other))?.failure;
  t.like(failure, { reason: 'forbidden', step: 'build' });
  t.regex(
    failure?.message ?? '',
    /may not fetch the image .*\/elsewhere\/tool: it may fetch those of .*\/lab\./,
  );
  const all = `${text}${JSON.stringify([done, failure, bench.log.entries])}`;
  for (const secret of [WHO.password, 'token-of-the-test']) t.false(all.includes(secret));
});
