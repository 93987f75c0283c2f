import { openFixture } from '../conformance/runtime-fixture.ts';
import { readAddress } from './client/address.ts';
import { Daemon } from './client/daemon.ts';
import { LABELS } from './labels.ts';
import { sweep } from './sweep.ts';
import { leftovers, workerOf } from './testing/harness.ts';
import { ownDaemon } from './testing/own-daemon.ts';

const { test, dind, harness } = ownDaemon();

async function open() {
  const host = `unix://${(await dind()).socketPath}`;
  const daemon = new Daemon({ address: readAddress(host, false), certificates: undefined, callMs: 30_000 });
  const leave = async (worker: string, name: string) => {
    const Labels = { [LABELS.worker]: worker };
    await daemon.ask('make a volume', (docker) => docker.createVolume({ Name: name, Labels }));
    const options = { name, Image: 'busybox:1.36', Cmd: ['sleep', '1000'], Labels };
    const HostConfig = { NetworkMode: 'none', Binds: [`${name}:/v`] };
    await daemon.ask(
      'run',
      async (docker) => await (await docker.createContainer({ ...options, HostConfig })).start(),
    );
  };
  return { host, daemon, leave };
}

test.serial('What a worker left is removed, and nothing of what is alive or another’s', async (t) => {
  const { host, daemon, leave } = await open();
  await leave('me', 'dead');
  await leave('me', 'alive');
  await leave('you', 'yours');
  const isAlive = ({ name }: { name: string }) => name === 'alive';
  t.deepEqual(await sweep({ daemon, worker: 'me', isAlive }), { containers: 1, volumes: 1 });
  t.deepEqual(await leftovers(host, 'me'), ['/alive running', 'volume alive']);
  t.is((await leftovers(host, 'you')).length, 2);
  for (const worker of ['me', 'you']) await sweep({ daemon, worker, isAlive: () => false });
});

test.serial('A sweep leaves the runs of its own process alone', async (t) => {
  await using fixture = await openFixture(harness({ data: 'archive' }));
  const { host, leave } = await open();
  const worker = workerOf(`${fixture.folder}/worker`);
  await leave(worker, 'dead');
  const mount = await fixture.mount('/data/out');
  const onOutput = async () => {
    await fixture.runtime.recover();
    const left = await leftovers(host, worker);
    t.true(left.length > 0 && !left.some((line) => line.includes('dead')), left.join());
  };
  const result = await fixture.run(
    { sh: 'echo x; echo y > "$2/y"' },
    { args: ['/data/out'], mounts: [mount], onOutput },
  );
  t.is(result.exitCode, 0);
  t.deepEqual(await fixture.leftovers(), []);
});
