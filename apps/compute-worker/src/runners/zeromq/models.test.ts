import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dind, freePort, partsFolder, requireProgram, startDind, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { GpuAllocator } from '../../gpus/allocator.ts';
import { openDockerRuntime } from '../../runtime/docker/index.ts';
import { optionsFor } from '../../runtime/docker/testing/harness.ts';
import type { ContainerRuntime, RunLimits } from '../../runtime/index.ts';
import { openProcessRuntime } from '../../runtime/process/index.ts';
import { CallFailed, ProtocolFault, RunnerEnded } from '../errors.ts';
import type { RunnerPlan } from '../index.ts';
import { openRunners } from '../pool.ts';
import type { OpenDoor } from '../protocol.ts';
import { openZeromqDoor } from './door.ts';

/**
 * Programs of Shepherd's runner protocol with the real libzmq, unchanged, as warm runners: plain processes, and containers
 * without a network in a daemon in a container.
 */

const MODEL = join(import.meta.dirname, '../../../../../examples/shepherd/models/zeromq/model.py');
/** Answers twice, or dies in the middle, or waits for ever, as its input says; else all is well. */
const HOSTILE = `
import json, os, pathlib, sys, time, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("tcp://0.0.0.0:" + (sys.argv[2] if len(sys.argv) > 1 else "9999"))
while True:
    sender, frame = socket.recv_multipart()
    message = json.loads(frame)["message"]
    what = (pathlib.Path(message["io_data_root"], message["job_id"]) / "inputs" / "input").read_text()
    reply = json.dumps({"message": {"job_id": message["job_id"], "message_type": "DoneMessage"}}).encode()
    if what == "die": os._exit(9)
    if what == "large": reply = b"x" * (1 << 26)
    socket.send_multipart([sender, reply])
    if what == "twice": socket.send_multipart([sender, reply])
`;

const LIMITS: RunLimits = {
  wallMs: 600_000,
  outputBytes: 50_000_000,
  diskBytes: 100_000_000,
  diskFiles: 10_000,
  memoryBytes: 3_000_000_000,
};

/** Where such programs run, and what makes a build context of one, in a folder. */
interface Place {
  readonly parent?: string;
  open(folder: string): Promise<ContainerRuntime>;
  readonly door: OpenDoor;
  dockerfile(folder: string): Promise<string>;
}

async function openModels(place: Place, model: string) {
  const stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder(place.parent));
  const runtime = stack.use(await place.open(join(folder, 'worker')));
  const runners = stack.use(
    await openRunners({
      ...{ runtime, gpus: new GpuAllocator([]), folder: join(folder, 'runners'), log: silentLog },
      doors: { zeromq: place.door },
    }),
  );
  const context = { digest: crypto.randomUUID(), folder: join(folder, 'context') };
  await mkdir(context.folder);
  await writeFile(join(context.folder, 'Dockerfile'), await place.dockerfile(context.folder));
  await writeFile(join(context.folder, 'model.py'), model);
  const plan: RunnerPlan = {
    ...{
      key: context.digest,
      shown: { owner: 'ann', image: 'model' },
      protocol: 'zeromq',
      limits: LIMITS,
      gpus: 0,
    },
    prepare: async (_folder, signal) => {
      const image = await runtime.prepare(context, { signal, onOutput: async () => undefined });
      return { image, mounts: [], [Symbol.dispose]: () => undefined };
    },
  };
  return {
    runners,
    ask: async (input: string) =>
      await runners.call({
        plan,
        fill: async (inputs) => await writeFile(join(inputs, 'input'), input),
        take: async (outputs) => await readFile(join(outputs, 'output'), 'utf8').catch(() => ''),
        signal: new AbortController().signal,
      }),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

const asProcess = async (): Promise<Place> => {
  const port = await freePort();
  return {
    open: async (folder) => await openProcessRuntime({ folder, log: silentLog }),
    door: async (options) => await openZeromqDoor({ ...options, port }),
    dockerfile: async () => {
      const words = JSON.stringify([requireProgram('python3-zmq'), '/app/model.py', '-p', String(port)]);
      return `FROM python:3.11-slim\nCOPY . /app\nENTRYPOINT ${words}\n`;
    },
  };
};

let daemon: Promise<Dind> | undefined;
ava.after.always(async () => await (await daemon)?.[Symbol.asyncDispose]());

const inContainer = async (): Promise<Place> => {
  daemon ??= startDind().then(async (dind) => {
    await dind.loadImages(['python:3.11-slim']);
    return dind;
  });
  const { socketPath, jobs } = await daemon;
  return {
    parent: jobs,
    open: async (folder) => await openDockerRuntime(optionsFor(`unix://${socketPath}`, folder)),
    door: openZeromqDoor,
    dockerfile: async (folder) => {
      const packages = join(partsFolder, 'pyzmq-for-images');
      for (const name of ['zmq', 'pyzmq.libs'])
        await cp(join(packages, name), join(folder, name), { recursive: true });
      return 'FROM python:3.11-slim\nEXPOSE 9999\nENV PYTHONPATH=/app\nCOPY . /app\nENTRYPOINT ["python3", "/app/model.py"]\n';
    },
  };
};

async function answersCalls(t: ExecutionContext, place: Place): Promise<void> {
  await using models = await openModels(place, await readFile(MODEL, 'utf8'));
  const first = await models.ask('{"input": "é"}');
  t.deepEqual(JSON.parse(first.value), { result: 'é' });
  const times = [];
  for (let call = 1; call <= 20; call += 1) {
    const { value, reused, runner, ms } = await models.ask(`{"input": ${call}}`);
    t.deepEqual([JSON.parse(value), reused, runner], [{ result: call }, call, first.runner]);
    times.push(ms.ran);
  }
  t.log(
    `a call took ${times.toSorted((a, b) => a - b)[10]?.toFixed(2)} ms, the start ${first.ms.started.toFixed(0)} ms`,
  );
  const failed = await t.throwsAsync(models.ask('{"fail": "no picture"}'), { instanceOf: CallFailed });
  t.is(failed.message, 'ValueError: no picture');
  t.is(failed.type, "<class 'ValueError'>");
  t.regex(failed.traceback ?? '', /model\.py.*in process/);
  await eventually(t, (inner) => inner.deepEqual(models.runners.list(), []));
  const other = await models.ask('{"input": 1}');
  t.not(other.runner, first.runner, 'one that has failed is not asked again');
}

async function refusesHostile(t: ExecutionContext, place: Place): Promise<void> {
  await using models = await openModels(place, HOSTILE);
  const died = await t.throwsAsync(models.ask('die'), { instanceOf: RunnerEnded });
  t.like(died.why, { ended: 'exited', exitCode: 9 });
  const large = await t.throwsAsync(models.ask('large'), { instanceOf: RunnerEnded });
  t.true(large.why instanceof ProtocolFault);
  t.regex(large.message, /67108864 bytes, where 1048576 are the most/);
  const { runner } = await models.ask('twice');
  await eventually(t, (inner) => inner.false(models.runners.list().some(({ id }) => id === runner)));
  t.is((await models.ask('well')).reused, 0);
}

for (const [what, place, parts] of [
  ['a plain process', asProcess, ['pyzmq']],
  ['a container without a network', inContainer, ['pyzmq', 'docker']],
] as const) {
  const test = withParts(ava, ...parts).serial;
  test(`A program of Shepherd in ${what} answers one call after the other, and says why one failed`, async (t) =>
    await answersCalls(t, await place()));
  test(`A program of Shepherd in ${what} that breaks the protocol, or ends, is ended`, async (t) =>
    await refusesHostile(t, await place()));
}
