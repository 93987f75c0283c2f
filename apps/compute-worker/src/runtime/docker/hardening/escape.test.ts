import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { memoryLog } from '@morpheo/service/log';
import { eventually, openFixture, type RuntimeFixture } from '../../conformance/runtime-fixture.ts';
import type { OutputChunk } from '../../index.ts';
import { SOME_SPARES } from '../testing/harness.ts';
import { ownDaemon } from '../testing/own-daemon.ts';
import {
  callPrograms,
  escapeProbes,
  outlivingProbes,
  type ProbeTargets,
  probeScript,
} from './testing/escape-probes.ts';
import { syscallProgram } from './testing/syscall-program.ts';

/** Every way out that we know of, tried in a container as orders get it; and in one that is held back by little. */
const { test, dind, harness } = ownDaemon();
const run = promisify(execFile);
const MIB = 1024 ** 2;

/** Answers to whoever comes, beside the daemon: by TCP, by UDP, and on an abstract Unix socket. */
const BESIDE = `
  const [, port, name] = process.argv;
  const hello = (socket) => socket.on('error', () => undefined).end('hello');
  const net = require('node:net');
  let missing = 3;
  const listens = () => (missing -= 1) === 0 && console.log('here');
  net.createServer(hello).listen(Number(port), '127.0.0.1', listens);
  net.createServer(hello).listen('\\0' + name, listens);
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (_, from) => udp.send('hello', from.port, from.address)).bind(Number(port), '127.0.0.1', listens);
`;

/** The control: root, with rights to manage the system, in the namespaces of its daemon, with all that is there. */
const LOOSE = [
  ...['--network', 'host', '--pid', 'host', '--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined'],
  ...['--ulimit', 'core=-1', '--shm-size', '3g', '--env', 'A_SECRET=x', '--volume', '/dind:/dind'],
];

async function docker(...args: readonly string[]): Promise<string> {
  const { socketPath } = await dind();
  const { stdout } = await run('docker', ['--host', `unix://${socketPath}`, ...args], {
    maxBuffer: 16 * MIB,
  });
  return stdout;
}

/**
 * What a job has, which is more than other orders have: inputs, among them the programs of the system calls, places to write,
 * among them that of its checkpoint, and variables and arguments of its own.
 */
async function jobOf(fixture: RuntimeFixture) {
  const input = await fixture.mount('/data/in', true);
  await writeInput(input.host);
  const writable = [];
  for (const place of ['/data/out', '/outputs', '/checkpoint']) writable.push(await fixture.mount(place));
  return {
    mounts: [input, ...writable],
    input,
    environment: { SEED: '7', HOME: '/checkpoint' },
    args: ['--steps', '10'],
  };
}

async function writeInput(folder: string): Promise<void> {
  await writeFile(join(folder, 'input'), 'input');
  for (const [file, call] of callPrograms()) {
    await writeFile(join(folder, file), syscallProgram(call), { mode: 0o755 });
  }
}

async function prepareTargets(): Promise<ProbeTargets & AsyncDisposable> {
  const { jobs } = await dind();
  const folder = join(jobs, 'another-order');
  await mkdir(folder, { recursive: true });
  const [mark, abstract, port] = [randomUUID(), `morpheo-${randomUUID()}`, 18_472];
  const foreign = join(folder, 'input');
  await writeFile(foreign, mark);
  const server = ['node', '-e', BESIDE, '--', String(port), abstract];
  const id = (await docker('run', '--detach', '--network', 'host', 'node:24-slim', ...server)).trim();
  await eventually('the server beside is there', async () => (await docker('logs', id)).includes('here'));
  return {
    ...{ port, abstract, foreign, mark },
    [Symbol.asyncDispose]: async () => void (await docker('rm', '--force', id)),
  };
}

const reachedOf = (printed: string) =>
  printed.split('\n').flatMap((line) => /^reached: (.+)$/.exec(line)?.[1] ?? []);

test.serial(
  'Nothing gets out of a container that was started ahead, nor at what is not its own',
  async (t) => {
    t.timeout(300_000, 'the same attempts');
    await using targets = await prepareTargets();
    const log = memoryLog();
    await using fixture = await openFixture(harness({ spares: SOME_SPARES, log }));
    const probes = escapeProbes(targets);
    const context = await fixture.context({
      Dockerfile: 'FROM node:24-slim\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n',
      'main.sh': probeScript(probes),
    });
    // A job has variables of its own, for which no container waits.
    const { mounts, args } = await jobOf(fixture);
    const { stdout, stderr, exitCode } = await fixture.run(context, {
      mounts,
      args,
      limits: { wallMs: 240_000 },
    });
    t.is(exitCode, 0, stderr);
    t.is(stdout.trim().split('\n').length, probes.length, stdout);
    t.deepEqual(reachedOf(stdout), []);
    t.true(log.entries.some(({ message }) => message === 'A run has a container that was started ahead'));
  },
);

test.serial('Nothing gets out of the container of a job, nor at what is not its own', async (t) => {
  t.timeout(300_000, 'some ninety attempts, each of a program of its own');
  await using targets = await prepareTargets();
  await using fixture = await openFixture(harness());
  const probes = escapeProbes(targets);
  const context = await fixture.context({
    Dockerfile: 'FROM node:24-slim\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n',
    'main.sh': probeScript(probes),
  });
  const { input, ...job } = await jobOf(fixture);
  const limits = { wallMs: 240_000 };
  const { stdout, stderr, exitCode } = await fixture.run(context, { ...job, limits });
  t.is(exitCode, 0, stderr);
  t.is(stdout.trim().split('\n').length, probes.length, stdout);
  const reached = reachedOf(stdout);

  const folder = context.folder;
  const places = [
    [folder, '/app'],
    [input.host, '/data/in'],
    [join(targets.foreign, '..'), join(targets.foreign, '..')],
  ];
  const volumes = places.flatMap(([host, at]) => ['--volume', `${host}:${at}`]);
  const loose = reachedOf(
    await docker('run', '--rm', ...LOOSE, ...volumes, 'node:24-slim', 'sh', '/app/main.sh'),
  );
  const controlled = probes.filter(({ hasControl }) => hasControl);
  t.log(`${reached.length} of ${probes.length} succeed; ${loose.length} in the control`);
  t.deepEqual(reached, []);
  t.deepEqual(
    controlled.map(({ name }) => name).filter((name) => !loose.includes(name)),
    [],
    'these would not show that they were refused',
  );
  t.true(probes.length >= 30 && controlled.length >= 30);
});

test.serial(
  'Nothing gets out of a runner, and nothing stays of a call but in folders of the worker [R54]',
  async (t) => {
    t.timeout(300_000, 'the same attempts');
    await using targets = await prepareTargets();
    await using fixture = await openFixture(harness());
    const contextOf = async (script: string) =>
      await fixture.context({
        Dockerfile: 'FROM node:24-slim\nCOPY . /app\nENTRYPOINT ["sh", "/app/main.sh"]\n',
        'main.sh': script,
      });
    const { input: _, ...job } = await jobOf(fixture);
    const limits = { wallMs: 240_000 };
    const left = outlivingProbes();
    const step = await fixture.run(await contextOf(probeScript(left)), { ...job, limits });
    t.deepEqual(
      reachedOf(step.stdout),
      left.map(({ name }) => name),
      'else they would not show that they are refused',
    );
    const probes = [...left, ...escapeProbes(targets)];
    const socket = await fixture.mount('/run/morpheo', true);
    const runner = await fixture.runner({ ...job, mounts: [...job.mounts, socket], limits });
    const { stdout, stderr, exitCode } = await fixture.run(await contextOf(probeScript(probes)), {}, runner);
    t.is(exitCode, 0, stderr);
    t.is(stdout.trim().split('\n').length, probes.length, stdout);
    t.deepEqual(reachedOf(stdout), OF_A_RUNNER);
  },
);

/** Its /tmp and /dev/shm are folders of the worker: they take programs, and their bound is that of the disk. */
const OF_A_RUNNER = ['running what was written to /tmp', 'more shared memory than memory'];

/** What root of an image may do to its own image, and no step may: see `BUILD_DIFFERENCES`. */
const OF_A_BUILD = [
  'any capability',
  'killing what is not its own',
  'root by a setuid program',
  'running what was written to /tmp',
  'the owner of a file',
  'the system call setgid to root',
  'the system call setuid to root',
  'writing to the file system of its image',
  'writing to the input of an order',
];

test.serial(
  'Nothing gets out of a RUN line of a Dockerfile, which changes its own image alone',
  async (t) => {
    t.timeout(300_000, 'the same attempts');
    await using targets = await prepareTargets();
    await using fixture = await openFixture(harness({ buildMemoryBytes: 2_000_000_000 }));
    const probes = escapeProbes(targets);
    const context = await fixture.context({
      Dockerfile:
        'FROM node:24-slim\nCOPY in /data/in\nCOPY app /app\nRUN mkdir /data/out; sh /app/main.sh\nENTRYPOINT ["true"]\n',
      'app/main.sh': probeScript(probes),
      'in/other': '',
    });
    await writeInput(join(context.folder, 'in'));
    let log = '';
    const onOutput = async ({ bytes }: OutputChunk) => {
      log += Buffer.from(bytes).toString();
    };
    await fixture.runtime.prepare(context, { signal: new AbortController().signal, onOutput });
    t.is(log.match(/^(reached|refused): /gm)?.length, probes.length, log);
    t.deepEqual(reachedOf(log).toSorted(), OF_A_BUILD);
  },
);
