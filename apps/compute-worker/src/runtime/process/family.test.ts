import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { Family, MARKER } from './family.ts';

function start(script: string, environment: NodeJS.ProcessEnv = {}) {
  const child = spawn('sh', ['-c', script], {
    detached: true,
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(child, 'exit');
  return { pid: child.pid ?? 0, ended, printed: once(child.stdout, 'data') };
}

test('The worker and what started it are never part of a run', (t) => {
  for (const pid of [process.pid, process.ppid, 1]) {
    const family = new Family('no such marker');
    family.lead(pid);
    const pids = new Set(family.members().map((member) => member.pid));
    for (const ours of [process.pid, process.ppid, 1]) t.false(pids.has(ours));
  }
});

test('A process is found by the beginning of its mark', async (t) => {
  const [mine, other] = [`worker-${randomUUID()}`, `worker-${randomUUID()}`];
  const { pid, ended, printed } = start('echo; exec sleep 1000', {
    [MARKER]: `${mine}:order`,
    PATH: '/usr/bin:/bin',
  });
  await printed;
  t.deepEqual(new Family(`${other}:`).members(), []);
  t.deepEqual(
    new Family(`${mine}:`).members().map((member) => member.pid),
    [pid],
  );
  t.is(await new Family(`${mine}:`).end(), 1);
  await ended;
  t.is(await new Family(`${mine}:`).end(), 0);
});

test('Children are known once seen, also when their parent is gone and their session another', async (t) => {
  const script = 'setsid sleep 1000 & setsid sh -c "sleep 1000" & echo; read wait < /dev/zero';
  const { pid, ended, printed } = start(script, { PATH: '/usr/bin:/bin' });
  await printed;
  const family = new Family('no such marker');
  family.lead(pid);
  t.true(family.relatives().length >= 3);
  process.kill(pid, 'SIGKILL');
  await ended;
  t.true(family.relatives().length >= 2);
  t.true((await family.end()) >= 2);
  t.deepEqual(family.members(), []);
});

test('What a program starts later is found by the next look, however many were before', async (t) => {
  const script = `echo; read line; setsid sleep 1000 & (sleep 1000 & sleep 1000 &); echo; read line`;
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const family = new Family('no such marker');
  family.lead(child.pid ?? 0);
  for (let look = 0; look < 4; look++) t.is(family.relatives().length, 1);
  const printed = once(child.stdout, 'data');
  child.stdin.write('\n');
  await printed;
  await eventually(t, (t) => t.is(family.relatives().length, 4));
  for (let look = 0; look < 4; look++) t.is(family.relatives().length, 4);
  t.is(await family.end(), 4);
  t.deepEqual(family.relatives(), []);
});

test('Another process that gets the pid of a dead one is left alone', async (t) => {
  const first = start('echo; exit 0');
  const family = new Family('no such marker');
  family.lead(first.pid);
  await first.ended;
  t.deepEqual(family.members(), []);
});
