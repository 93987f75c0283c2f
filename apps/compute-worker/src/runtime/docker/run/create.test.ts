import { OrderFailure } from '@morpheo/common';
import test from 'ava';
import { DaemonAnswer } from '../client/errors.ts';
import { type ContainerRun, createContainer } from './create.ts';

const address = { kind: 'socket', path: '/run/docker.sock', text: 'unix:///run/docker.sock' } as const;

function runThatIsAnswered(status: number, said: string): ContainerRun {
  const answer = new DaemonAnswer(status, said, 'create a container', address, undefined);
  const facts = {
    cpus: 1,
    machine: 'x86_64',
    boundsRootFolder: false,
    gpus: { hasNvidiaRuntime: false, cdiNames: [] },
  };
  return {
    daemon: { facts: async () => facts },
    container: { create: async () => await Promise.reject(answer) },
    data: { mounts: [] },
    spec: { args: [], mounts: [], limits: { memoryBytes: 1, diskBytes: 1 } },
    image: { name: 'x', entryPoint: ['x'], searchPath: '', workingFolder: '/', variables: [], volumes: [] },
  } as unknown as ContainerRun;
}

test('What a daemon will not make a container of is the doing of the image, without words of its machine', async (t) => {
  const create = async (status: number, said: string) =>
    await createContainer(runThatIsAnswered(status, said), { uid: 1, gid: 1 }, {});
  const error = await t.throwsAsync(create(400, 'invalid mount path: /var/lib/docker/x'), {
    instanceOf: OrderFailure,
  });
  t.is(error.failure.reason, 'build_failed');
  t.notRegex(error.message, /\/var|\/run/);
  await t.throwsAsync(create(400, 'bind source path does not exist: /jobs/x'), { code: 'unavailable' });
  await t.throwsAsync(create(500, 'anything'), { code: 'unavailable' });
});
