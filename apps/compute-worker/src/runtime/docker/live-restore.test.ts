import { abandoned, adopt } from '../conformance/adoption.ts';
import { eventually, openFixture } from '../conformance/runtime-fixture.ts';
import { ownDaemon } from './testing/own-daemon.ts';

const { test, dind, harness } = ownDaemon({ keepsContainers: true });

test.serial(
  'What a daemon says of a container that died with it is nobody’s failure, though it keeps them',
  async (t) => {
    const daemon = await dind();
    await using fixture = await openFixture(harness({ reconnectMs: 30_000 }));
    const started = Promise.withResolvers<void>();
    const running = fixture.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
    const failed = t.throwsAsync(running, { code: 'unavailable', message: /went away during a run/ });
    await started.promise;
    await daemon.kill('SIGKILL');
    await daemon.restart();
    await failed;
    t.deepEqual(await fixture.leftovers(), []);
  },
);

test.serial('What died with a daemon that keeps its containers is not taken up as it ended', async (t) => {
  const daemon = await dind();
  await using fixture = await openFixture(harness());
  const { spec } = await abandoned(harness(), fixture, 'echo ready; sleep 1000');
  await daemon.kill('SIGKILL');
  await daemon.restart();
  await fixture.runtime.ping();
  t.is((await adopt(fixture, spec)).result, undefined);
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial('A program that ended with 255 while its worker was away is taken up as it ended', async (t) => {
  await using fixture = await openFixture(harness());
  const { spec } = await abandoned(harness(), fixture, 'echo ready; sleep 1; exit 255');
  await eventually('it ended', async () => (await fixture.leftovers()).some((line) => /exited/.test(line)));
  t.like((await adopt(fixture, spec)).result, { ended: 'exited', exitCode: 255 });
  t.deepEqual(await fixture.leftovers(), []);
});
