import { abandoned, adopt } from '../conformance/abandoned.ts';
import { eventually, openBench } from '../conformance/bench.ts';
import { ownDaemon } from './testing/own-daemon.ts';

const { test, dind, harness } = ownDaemon({ keepsContainers: true });

test.serial(
  'What a daemon says of a container that died with it is nobody’s failure, though it keeps them',
  async (t) => {
    const daemon = await dind();
    await using bench = await openBench(harness({ reconnectMs: 30_000 }));
    const started = Promise.withResolvers<void>();
    const running = bench.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
    const failed = t.throwsAsync(running, { code: 'unavailable', message: /went away during a run/ });
    await started.promise;
    await daemon.kill('SIGKILL');
    await daemon.restart();
    await failed;
    t.deepEqual(await bench.leftovers(), []);
  },
);

test.serial('What died with a daemon that keeps its containers is not taken up as it ended', async (t) => {
  const daemon = await dind();
  await using bench = await openBench(harness());
  const { spec } = await abandoned(harness(), bench, 'echo ready; sleep 1000');
  await daemon.kill('SIGKILL');
  await daemon.restart();
  await bench.runtime.ping();
  t.is((await adopt(bench, spec)).result, undefined);
  t.deepEqual(await bench.leftovers(), []);
});

test.serial('A program that ended with 255 while its worker was away is taken up as it ended', async (t) => {
  await using bench = await openBench(harness());
  const { spec } = await abandoned(harness(), bench, 'echo ready; sleep 1; exit 255');
  await eventually('it ended', async () => (await bench.leftovers()).some((line) => /exited/.test(line)));
  t.like((await adopt(bench, spec)).result, { ended: 'exited', exitCode: 255 });
  t.deepEqual(await bench.leftovers(), []);
});
