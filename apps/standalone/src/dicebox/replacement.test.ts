import { randomUUID } from 'node:crypto';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient, storageClient } from '@morpheo/client';
import { hasEnded, job, TRAINER_LABELS, TRAINING_LABELS } from '@morpheo/common';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { openDiceboxService } from '@morpheo/dicebox';
import { settings } from '@morpheo/dicebox/config';
import { openMemoryBroker } from '@morpheo/service/broker';
import { Secret } from '@morpheo/service/config';
import { followTicketKeys, ticketSigner } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import { openStorageService } from '@morpheo/storage-api';
import test from 'ava';
import sharp from 'sharp';
import { archiveOf } from '../scenarios/archives.ts';
import { uploadThing } from '../scenarios/uploads.ts';
import { makeTicketKeyFile } from '../secrets.ts';
import { processesOf } from '../testing/processes.ts';
import { WorkerProcess } from '../testing/worker-fixture.ts';

const STAND_IN = fileURLToPath(new URL('../../../dicebox/src/testing/stand-in-trainer/', import.meta.url));
const CATEGORIES = ['black', 'dark', 'light', 'white'];
const CALLERS = 16;

/** storage-api, compute-api and classification in this process, and two workers with a stand-in of the trainer. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-replace-')));
  const tickets = stack.use(await followTicketKeys({ file: await makeTicketKeyFile(path), log: silentLog }));
  const common = { host: '127.0.0.1', port: 0, callers: null, version: 'test', log: silentLog };
  const storage = stack.use(
    await openStorageService({ ...common, dataFolder: join(path, 'storage'), tickets: tickets.verify }),
  );
  const compute = stack.use(
    await openComputeService({
      ...common,
      database: { engine: 'sqlite', file: join(path, 'compute.db') },
      broker: stack.use(openMemoryBroker()),
      storage: { url: storage.url },
      signTicket: ticketSigner(tickets.keys),
      anonymousIntake: false,
      settings: { ...COMPUTE_DEFAULTS, calls: { ...COMPUTE_DEFAULTS.calls, goneMs: 500 } },
    }),
  );
  const apis = { compute: computeClient(compute), storage: storageClient(storage) };
  const dicebox = stack.use(
    await openDiceboxService({
      ...{ host: '127.0.0.1', port: 0, serve: ['classification'], folder: join(path, 'dicebox'), ...apis },
      database: { engine: 'sqlite', file: join(path, 'dicebox.db') },
      apiKey: { name: 'dicebox', key: new Secret('the key of this test') },
      ...{ apiVersion: '0.3.0', versions: settings.versions.default, version: 'test', log: silentLog },
      classification: {
        ...{ set: { name: 'greys', width: 28, height: 28 }, rule: { adopt: 'better', margin: 0 } },
        ...{ answerMs: 120_000, watchMs: 20, version: '0.3.0' },
      },
      authenticate: null,
    }),
  );
  const workers = ['one', 'two'].map((name) => {
    const worker = new WorkerProcess({
      ...{ compute: compute.url, storage: storage.url, 'data-dir': join(path, name), name },
      ...{ runtime: 'process', 'learn-parallelism': '0', 'predict-parallelism': '0', 'log-level': 'error' },
      label: `trainer=${TRAINER_LABELS.trainer}`,
    });
    stack.use(worker);
    void worker.start();
    return worker;
  });
  const algo = await uploadThing(apis.storage, 'algo', { name: 'stand-in' }, await archiveOf(STAND_IN));
  const opened = stack.move();
  return {
    ...{ ...apis, workers, url: dicebox.url },
    /** A training with this result; resolves to its id when it is done. */
    train: async (accuracy: number) => await train(apis.compute, algo, accuracy),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function train(
  compute: ReturnType<typeof computeClient>,
  algo: string,
  accuracy: number,
): Promise<string> {
  const id = randomUUID();
  const inline = Buffer.from(JSON.stringify({ categories: CATEGORIES, accuracy })).toString('base64');
  const body = job.parse({
    ...{ uuid: id, algo, command: ['train', '/config/training.json'] },
    inputs: [{ path: '/config/training.json', inline }],
    labels: { [TRAINING_LABELS.set]: 'greys_28x28' },
    needs: { labels: TRAINER_LABELS },
  });
  await compute.postJob({ body });
  for await (const { data } of await compute.orderEvents({ params: { id }, headers: {} })) {
    if (data.what === 'done') return id;
    if (hasEnded(data.status)) throw new Error(`The training ended so: ${JSON.stringify(data)}`);
  }
  throw new Error('The history of the training ended before it was done');
}

/** Sixteen who ask one after the other until they are told to stop; what each answer was. */
async function startCallers(url: string) {
  const greys = [0, 90, 150, 255];
  const bodies = await Promise.all(
    greys.map(async (grey) => {
      const background = { r: grey, g: grey, b: grey };
      const png = await sharp({ create: { width: 28, height: 28, channels: 3, background } })
        .png()
        .toBuffer();
      return JSON.stringify({ data: png.toString('base64') });
    }),
  );
  const answers: { status: number; index: unknown; asked: number; training: unknown }[] = [];
  let isOver = false;
  const caller = async (n: number) => {
    for (let asked = n % greys.length; !isOver; asked = (asked + 1) % greys.length) {
      const answer = await fetch(`${url}/v1/classify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: bodies[asked] ?? '',
      });
      const { index, network } = await answer.json();
      answers.push({ status: answer.status, index, asked, training: network?.training });
    }
  };
  const running = Array.from({ length: CALLERS }, async (_, n) => await caller(n));
  return {
    answers,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
}

/** Kills the runners of a worker, and returns how many there were. */
async function killRunners({ folder }: WorkerProcess): Promise<number> {
  const lines = (await processesOf(folder)).filter((line) => / main\.mjs|\/main\.mjs serve/.test(line));
  for (const line of lines) process.kill(Number.parseInt(line, 10), 'SIGKILL');
  return lines.length;
}

test('Every request of 16 callers is answered, and rightly, while the network is replaced, its runners are killed, and a worker is', async (t) => {
  t.timeout(300_000);
  await using fixture = await open();
  const { workers } = fixture;
  const inUse = async () => {
    const { items } = await (await fetch(`${fixture.url}/v1/networks`)).json();
    return items.find(({ state }: { state: string }) => state === 'current')?.training;
  };
  const first = await fixture.train(0.8);
  await eventually(t, async (is) => is.is(await inUse(), first));

  const { answers, stop } = await startCallers(fixture.url);
  /** Resolves when every caller may have been answered again. */
  const more = async () => {
    const before = answers.length;
    await eventually(t, (is) => is.true(answers.length >= before + 2 * CALLERS));
  };
  await more();
  const second = await fixture.train(0.9);
  await eventually(t, (is) => is.is(answers.at(-1)?.training, second));
  await more();

  let killed = 0;
  await eventually(t, async (is) => {
    for (const worker of workers) killed += await killRunners(worker);
    is.true(killed > 0);
  });
  await more();

  const { items } = await fixture.compute.listRunners({});
  const busy = workers.find(({ folder }) => folder.endsWith(items[0]?.worker_name ?? ''));
  await (busy ?? workers[0])?.kill();
  await more();
  await stop();

  t.deepEqual(
    answers.filter(({ status, index, asked }) => status !== 200 || index !== asked),
    [],
  );
  t.deepEqual(new Set(answers.map(({ training }) => training)), new Set([first, second]));
  const change = answers.findIndex(({ training }) => training === second);
  t.true(change > CALLERS, 'the old one answered until the new one was ready');
  t.log(`${answers.length} answers, ${killed} runners were killed`);
});
