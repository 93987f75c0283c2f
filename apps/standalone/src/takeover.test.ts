import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient } from '@morpheo/client';
import { preduplet } from '@morpheo/common';
import { startNsqd, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { startCrewProcess } from './testing/crew-processes.ts';
import { freePorts } from './testing/killable-platform.ts';

const test = withParts(ava, 'nsq');
const COMPUTE = fileURLToPath(new URL('../../compute-api/src/main.ts', import.meta.url));
/** Nobody listens at this port. */
const NOWHERE = 'http://127.0.0.1:9';
/** The lease of 30 s, a look of the reaper, a message through NSQ. */
const BOUND_MS = 35_000;

test('The order of a worker that dies is run by another within 35 seconds', async (t) => {
  t.timeout(180_000);
  await using nsqd = await startNsqd();
  await using service = await startComputeApi(nsqd.tcp);
  const api = computeClient({ url: service.url });
  const settings = {
    ...{ compute: service.url, storage: NOWHERE, credentials: { name: 'worker', secret: 'none' } },
    ...{ poison: '', slots: 1, workMs: 600_000, pollMs: 5000, nsqd: nsqd.tcp },
  };
  await using first = startCrewProcess(settings);
  const body = preduplet.parse({
    ...{ uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID() },
    ...{ model: randomUUID(), data: randomUUID(), status: 'todo' },
  });
  await api.pred({ body });
  const order = async () => await api.getOrder({ params: { id: body.uuid } });
  await eventually(t, async (t) => t.is((await order()).attempt, 1), 30_000);
  await using second = startCrewProcess(settings);
  await eventually(t, async (t) => t.is((await api.listWorkers({})).items.length, 2), 30_000);
  // The worst moment to die: the lease was just renewed.
  const seen = async () => (await api.listWorkers({})).items.find(({ id }) => id === first.id)?.last_seen_at;
  const before = await seen();
  await eventually(t, async (t) => t.not(await seen(), before), 30_000);

  await first.kill({ forGood: true });
  const diedAt = performance.now();
  await eventually(t, async (t) => t.is((await order()).attempt, 2), 60_000);
  const tookMs = performance.now() - diedAt;
  t.log(`the next attempt began ${(tookMs / 1000).toFixed(1)} s after the worker had died`);
  t.true(tookMs <= BOUND_MS, `${tookMs} ms`);
  const { attempts, status } = await order();
  t.is(status, 'pending');
  t.like(attempts[0], { worker: first.id, outcome: 'lost' });
  t.like(attempts[1], { worker: second.id });
});

/** compute-api as a process of its own, with the leases of production. */
async function startComputeApi(nsqd: string) {
  const [port = 0] = await freePorts(1);
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-takeover-'));
  const args = Object.entries({
    ...{ port, storage: NOWHERE, broker: 'nsq', nsqd, 'data-dir': folder },
    ...{ 'storage-user': 'u', 'storage-password': 'p', 'log-level': 'error' },
  }).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const child = spawn(process.execPath, [COMPUTE, ...args, '--insecure-open'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  const service = {
    url,
    async [Symbol.asyncDispose]() {
      await ended(child);
      await rm(folder, { recursive: true });
    },
  };
  while (
    !(await fetch(`${url}/health`)
      .then(({ ok }) => ok)
      .catch(() => false))
  ) {
    if (child.exitCode !== null) throw new Error(`compute-api ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return service;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
