import { openBench } from '../conformance/bench.ts';
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
