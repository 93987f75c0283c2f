import { readFile } from 'node:fs/promises';
import { imageText, type PinnedReference } from '@morpheo/common';
import { openSharedDind, startRegistry, withParts } from '@morpheo/real-parts';
import { allowedImagesList, Registries, registryCredentials } from '@morpheo/service/registry';
import { makeImage, pushImage, startTestRegistry } from '@morpheo/service/registry/testing';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { openDockerRuntime } from '../runtime/docker/index.ts';
import { leftovers, optionsFor, workerOf } from '../runtime/docker/testing/harness.ts';
import { failureOf, openTestWorker, resultOf } from '../testing/test-worker.ts';
import { type ImagePolicy, NO_IMAGES } from './policy.ts';

const RUN = ['/bin/busybox', 'sh', '-c'];
const NOTE = 'echo "$GREETING from $(/bin/busybox id -u)" > /outputs/note';

function allowing(addresses: string, credentials?: string): ImagePolicy {
  const allowed = allowedImagesList.parse(addresses);
  const read = credentials === undefined ? new Map() : registryCredentials.parse(credentials);
  return { ...NO_IMAGES, registries: new Registries({ allowed, credentials: () => read }) };
}

/** An order with an image, without the algorithm that orders of tests have otherwise. */
const imageOnly = (reference: PinnedReference) => ({ image: imageText(reference), algo: undefined });

withParts(
  ava,
  'docker',
  'registry',
)('An order with an image of a real registry runs it, and a second one fetches nothing', async (t) => {
  await using registry = await startRegistry();
  await using dind = await openSharedDind();
  const { host, credentials } = registry;
  const busybox = await readFile('/bin/busybox');
  const config = { Cmd: [...RUN, NOTE], Env: ['GREETING=hello'] };
  const layers = [{ 'bin/busybox': busybox }, { note: crypto.randomUUID() }];
  const reference = await pushImage(registry, 'team/tool', await makeImage({ layers, config }));
  const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
  const images = allowing(`http://${host}/team`, JSON.stringify({ auths: { [host]: { auth } } }));
  const daemon = `unix://${dind.socketPath}`;
  await using setup = await openTestWorker({
    images,
    parent: dind.jobs,
    openRuntime: async (folder) => await openDockerRuntime(optionsFor(daemon, folder)),
  });
  const one = setup.job(imageOnly(reference));
  await setup.worker.settle();
  t.true(resultOf(one).size !== undefined, JSON.stringify(one.reports));
  const staged = setup.storage.staged.get(`${one.id}.1`)?.bytes.toString() ?? '';
  t.regex(staged, /hello from [1-9]\d*\n/);
  const said = one.log.map(({ text }) => text).join('');
  t.regex(said, /build: image 127\.0\.0\.1:\d+\/team\/tool: 2 layers of [\d.]+ .B\n.*came\n.*it is ready\n/s);
  t.false(said.includes(credentials.password));

  const two = setup.job({ ...imageOnly(reference), command: [...RUN, 'exit 3'] });
  await setup.worker.settle();
  t.like(failureOf(two), { reason: 'exit_code', exit_code: 3 });
  t.regex(two.log.map(({ text }) => text).join(''), /it is there already/);
  await eventually(t, async (inner) => inner.deepEqual(await leftovers(daemon, workerOf(setup.folder)), []));
});

ava('An order with an image that the operator does not allow fails before anything is fetched', async (t) => {
  await using registry = await startTestRegistry();
  const reference = registry.put('tool', await makeImage());
  for (const images of [undefined, allowing('other.example')]) {
    await using setup = await openTestWorker(images === undefined ? {} : { images });
    const order = setup.job(imageOnly(reference));
    await setup.worker.settle();
    const failure = failureOf(order);
    t.like(failure, { reason: 'forbidden', step: 'build' });
    t.regex(failure.message, /may not fetch the image .*\/tool: .*--registries/);
    t.regex(failure.hint ?? '', /ask the operator to allow this one/);
  }
  t.deepEqual(registry.seen, []);
});

ava('A runtime that runs no images says so', async (t) => {
  await using registry = await startTestRegistry();
  const reference = registry.put('tool', await makeImage());
  await using setup = await openTestWorker({ images: allowing(registry.address) });
  const order = setup.job(imageOnly(reference));
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'forbidden', step: 'build' });
  t.regex(failureOf(order).message, /needs Docker/);
});
