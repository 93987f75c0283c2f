import { randomUUID } from 'node:crypto';
import { eventually, openFixture, type RuntimeFixture } from '../../conformance/runtime-fixture.ts';
import type { BuildContext, OutputChunk } from '../../index.ts';
import { ownDaemon } from '../testing/own-daemon.ts';

const MIB = 1024 ** 2;
const { test, harness, dind } = ownDaemon({ storageBytes: 256 * MIB });
const { signal } = new AbortController();

async function prepare({ runtime }: RuntimeFixture, context: BuildContext) {
  let log = '';
  const onOutput = async ({ bytes }: OutputChunk) => {
    log += Buffer.from(bytes).toString();
  };
  return { ...(await runtime.prepare(context, { signal, onOutput })), log };
}

async function algorithm(fixture: RuntimeFixture): Promise<BuildContext> {
  return await fixture.context({
    Dockerfile: 'FROM scratch\nCOPY weights /\nENTRYPOINT ["/weights"]',
    weights: 'w'.repeat(40 * MIB) + randomUUID(),
  });
}

/** Runs a command beside the daemon, whatever comes of it. */
async function beside(command: string): Promise<void> {
  await (await dind()).exec('sh', '-c', command).catch(() => undefined);
}

test.serial(
  'Unused images go before an algorithm fails for want of room, and those in use stay',
  async (t) => {
    await using fixture = await openFixture(harness());
    const first = await algorithm(fixture);
    const kept = await prepare(fixture, first);
    const logs: string[] = [];
    for (let number = 0; number < 4; number += 1) {
      const { release, log } = await prepare(fixture, await algorithm(fixture));
      release?.();
      logs.push(log);
    }
    t.regex(logs.join(''), /The disk of Docker was full: images that nobody used were removed/);
    t.true((await prepare(fixture, first)).cached, 'an image that an attempt has is not removed');
    kept.release?.();
    await t.notThrowsAsync(fixture.runtime.ping());
  },
);

test.serial('While the daemon has no room nothing can run, and it is said until there is', async (t) => {
  await using fixture = await openFixture(harness());
  const room = async () => await fixture.runtime.demandRoom?.(signal);
  // Whatever images are there still make room, some at a time.
  await eventually('nothing is left to remove', async () => {
    await beside('dd if=/dev/zero of=/var/lib/docker/ballast-$RANDOM bs=1M; sync');
    return await room().then(
      () => false,
      () => true,
    );
  });
  await t.throwsAsync(room(), { code: 'disk_full' });
  await t.throwsAsync(prepare(fixture, await algorithm(fixture)), { code: 'disk_full' });
  await t.throwsAsync(fixture.runtime.ping(), {
    code: 'disk_full',
    message: /^The disk of the Docker daemon .* has no room .* free some/,
  });
  await beside('rm /var/lib/docker/ballast-*; sync');
  await room();
  await t.notThrowsAsync(fixture.runtime.ping());
  t.false((await prepare(fixture, await algorithm(fixture))).cached);
});
