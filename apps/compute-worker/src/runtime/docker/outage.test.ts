import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { eventually, openFixture, type RuntimeHarness } from '../conformance/runtime-fixture.ts';
import { dockerHarness } from './testing/harness.ts';
import { ownDaemon } from './testing/own-daemon.ts';

const { test, dind, harness } = ownDaemon();
const quick = { reconnectMs: 3000 };

/** A way to the daemon that can be cut. */
async function openWay(target: string, path: string) {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ path: target, allowHalfOpen: true });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    }
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test.serial('A run goes on when the connection to the daemon breaks', async (t) => {
  const { socketPath, jobs } = await dind();
  const path = join(jobs, 'way.sock');
  await using way = await openWay(socketPath, path);
  const cut: RuntimeHarness = dockerHarness(async () => ({ host: `unix://${path}`, shared: jobs }), quick);
  await using fixture = await openFixture(cut);
  let printed = '';
  const onOutput = async ({ bytes }: { bytes: Uint8Array }) => {
    printed += Buffer.from(bytes).toString();
    if (printed === 'one\n') way.cut();
  };
  const mount = await fixture.mount('/data/out');
  const sh =
    'echo one; while [ ! -e "$2/go" ]; do sleep 0.1; done; i=0; while [ $i -lt 20 ]; do echo two; sleep 0.1; i=$((i+1)); done; exit 4';
  const running = fixture.run({ sh }, { args: ['/data/out'], mounts: [mount], onOutput });
  await eventually('the gap is told', () => /connection to Docker was lost/.test(printed));
  await writeFile(join(mount.host, 'go'), '');
  const result = await running;
  t.is(result.exitCode, 4);
  t.regex(printed, /^one\n(\[morpheo\].*\n)+(two\n)+$/);
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial('A program that ends with 255 while its daemon is there is told as it ended', async (t) => {
  await using fixture = await openFixture(harness());
  const { ended, exitCode } = await fixture.run({ sh: 'exit 255' });
  t.deepEqual({ ended, exitCode }, { ended: 'exited', exitCode: 255 });
  t.deepEqual(await fixture.leftovers(), []);
});

test.serial('A daemon that is killed takes its runs along, which is nobody’s failure [R17]', async (t) => {
  await using fixture = await openFixture(harness(quick));
  const daemon = await dind();
  const started = Promise.withResolvers<void>();
  const running = fixture.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
  await started.promise;
  await daemon.kill('SIGKILL');
  await t.throwsAsync(running, { code: 'unavailable', message: /went away during a run/ });
  await t.throwsAsync(fixture.runtime.ping(), {
    code: 'unavailable',
    message: /docker\.sock does not answer.*--docker-host/,
  });
  const context = await fixture.program({ sh: 'true' });
  const options = { signal: new AbortController().signal, onOutput: async () => undefined };
  await t.throwsAsync(fixture.runtime.prepare(context, options), { code: 'unavailable' });
  await daemon.restart();
  await fixture.runtime.ping();
  await fixture.runtime.recover();
  t.deepEqual(await fixture.leftovers(), []);
  t.is((await fixture.run({ sh: 'echo again' })).stdout, 'again\n');
});

test.serial(
  'A daemon that is started anew during a run ends it, which is nobody’s failure [R17]',
  async (t) => {
    await using fixture = await openFixture(harness({ ...quick, reconnectMs: 20_000 }));
    const started = Promise.withResolvers<void>();
    const sh = 'trap "exit 0" TERM; echo x; while :; do sleep 0.1; done';
    const running = fixture.run({ sh }, { onOutput: async () => started.resolve() });
    const failed = t.throwsAsync(running, { code: 'unavailable', message: /went away during a run/ });
    await started.promise;
    const daemon = await dind();
    await daemon.stop();
    await daemon.restart();
    await failed;
    await fixture.runtime.recover();
    t.deepEqual(await fixture.leftovers(), []);
  },
);

test.serial('A daemon that falls silent is given up in time [R17]', async (t) => {
  await using fixture = await openFixture(harness({ reconnectMs: 2000, timeoutMs: 8000 }));
  const daemon = await dind();
  const started = Promise.withResolvers<void>();
  const running = fixture.run({ sh: 'echo x; sleep 1000' }, { onOutput: async () => started.resolve() });
  await started.promise;
  await daemon.kill('SIGSTOP');
  try {
    await t.throwsAsync(running, { code: 'unavailable' });
  } finally {
    await daemon.kill('SIGCONT');
  }
  await eventually('the daemon is back', async () => {
    return await fixture.runtime.ping().then(
      () => true,
      () => false,
    );
  });
  await eventually('nothing is left', async () => {
    await fixture.runtime.recover();
    return (await fixture.leftovers()).length === 0;
  });
  t.pass();
});
