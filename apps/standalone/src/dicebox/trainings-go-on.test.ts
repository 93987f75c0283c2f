import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient } from '@morpheo/client';
import { picturesClient } from '@morpheo/client/dicebox';
import { type NewPicture, TRAINER_LABELS, type TrainingRequest } from '@morpheo/common';
import { freePorts, mainOf, ServiceProcess } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { makeTicketKeyFile } from '../secrets.ts';

const KEY = 'the key of this test, of many letters';
const SIDE = 8;
const EPOCHS = 6;
/** The trainer of these sources. */
const TRAINER = fileURLToPath(new URL('../../../../programs/picture-trainer/', import.meta.url));

/**
 * Keeps the contract of the picture trainer, without learning anything: an epoch begins when there is a file of its number in the
 * folder of the test, where each is noted as well.
 */
const STAND_IN = (folder: string) => `#!/usr/bin/env node
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync, appendFileSync } from 'node:fs';
const [, , , settings] = process.argv;
const { MORPHEO_OUTPUTS: outputs, MORPHEO_CHECKPOINT: kept } = process.env;
const { epochs } = JSON.parse(readFileSync(settings, 'utf8'));
if (readdirSync(process.env.TRAINER_PICTURES).length === 0) throw new Error('There are no pictures.');
const lines = existsSync(kept + '/state') ? JSON.parse(readFileSync(kept + '/state', 'utf8')) : [];
const tell = (line) => appendFileSync(outputs + '/metrics.jsonl', JSON.stringify(line) + '\\n');
const note = (what) => appendFileSync(${JSON.stringify(`${folder}/notes`)}, JSON.stringify({ pid: process.pid, ...what }) + '\\n');
note({ from: lines.length });
for (const line of lines) tell(line);
for (let epoch = lines.length + 1; epoch <= epochs; epoch += 1) {
  while (!existsSync(${JSON.stringify(folder)} + '/' + epoch)) {
    if (!existsSync(${JSON.stringify(folder)})) process.exit(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const line = { epoch, loss: 1 / epoch, accuracy: epoch / 10, seconds: process.pid, engine: 'stand-in', device: 'CPU', pictures: 4 };
  note({ epoch });
  lines.push(line);
  writeFileSync(kept + '/.state', JSON.stringify(lines));
  renameSync(kept + '/.state', kept + '/state');
  tell(line);
}
`;

interface Note {
  readonly pid: number;
  /** A run has begun, after so many epochs. */
  readonly from?: number;
  /** It has trained this one. */
  readonly epoch?: number;
}

/** storage-api, compute-api, dicebox and training processors, each a process. `trainerFolder` has the trainer; a stand-in where absent. */
async function open(trainerFolder?: string) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-trainings-')));
  const [gates, own] = [join(path, 'gates'), join(path, 'programs')];
  const programs = trainerFolder ?? own;
  await Promise.all([mkdir(gates), mkdir(own)]);
  await writeFile(join(own, 'package.json'), '{"type":"module"}');
  await writeFile(join(own, 'picture-trainer'), STAND_IN(gates), { mode: 0o755 });
  const [storagePort = 0, computePort = 0, diceboxPort = 0] = await freePorts(3);
  const at = (port: number) => `http://127.0.0.1:${port}`;
  const key = await makeTicketKeyFile(path);
  const common = { 'log-level': 'info' };
  const service = (
    app: 'storage-api' | 'compute-api' | 'dicebox',
    port: number,
    flags: Record<string, string | number>,
  ) =>
    stack.use(
      new ServiceProcess({
        main: mainOf(app),
        flags: { ...common, ...flags, port, 'data-dir': join(path, app) },
        ready: `${at(port)}/health`,
      }),
    );
  const storage = service('storage-api', storagePort, { 'ticket-key-file': key, 'insecure-open': '' });
  const compute = service('compute-api', computePort, {
    ...{ storage: at(storagePort), 'ticket-key-file': key, 'lease-ms': 6000, attempts: 1000 },
    ...{ 'insecure-open': '', 'storage-user': 'compute', 'storage-password': 'a-secret-of-nobody' },
  });
  const dicebox = service('dicebox', diceboxPort, {
    ...{ storage: at(storagePort), compute: at(computePort), serve: 'sensory,training', 'api-key': KEY },
    'train-network': 'mlp',
  });
  await Promise.all([storage.start(), compute.start(), dicebox.start()]);
  const api = picturesClient({ url: at(diceboxPort), credentials: { name: 'dicebox', secret: KEY } });
  const opened = stack.move();
  const trainer = (name: string) =>
    opened.use(
      new ServiceProcess({
        main: mainOf('compute-worker'),
        flags: {
          ...{ compute: at(computePort), storage: at(storagePort), 'data-dir': join(path, name), name },
          ...{ runtime: 'process', programs, 'program-variables': 'TRAINER_', grace: '1ms', poll: '200ms' },
          ...{ label: `trainer=${TRAINER_LABELS.trainer}`, dedicated: 'trainer', 'log-level': 'error' },
        },
      }),
    );
  return {
    ...{ api, storage, compute, dicebox, trainer },
    orders: computeClient({ url: at(computePort) }),
    /** Lets epochs begin. */
    allow: async (...epochs: readonly number[]) => {
      for (const epoch of epochs) await writeFile(join(gates, String(epoch)), '');
    },
    notes: async (): Promise<Note[]> => {
      const file = join(gates, 'notes');
      const text = existsSync(file) ? await readFile(file, 'utf8') : '';
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Note);
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

type Services = Awaited<ReturnType<typeof open>>;

/** A set with pictures of two categories. */
async function storePictures({ api }: Services): Promise<string> {
  const { id } = await api.createPictureSet({ body: { name: 'greys', width: SIDE, height: SIDE } });
  const pictures = await Promise.all(
    ['dark', 'dark', 'light', 'light'].map(async (category, at): Promise<NewPicture> => {
      const raw = { width: SIDE, height: SIDE, channels: 1 } as const;
      const grey = sharp(Buffer.alloc(SIDE * SIDE, (category === 'dark' ? 20 : 220) + at), { raw });
      return { category, name: String(at), data: (await grey.png().toBuffer()).toString('base64') };
    }),
  );
  const text = pictures.map((picture) => `${JSON.stringify(picture)}\n`).join('');
  await api.storePictures({ params: { set: id }, body: { body: new Blob([text]).stream() } });
  return id;
}

/** Waits until a training has these epochs. */
async function reached(
  t: ExecutionContext,
  { api }: Services,
  training: string,
  epoch: number,
): Promise<void> {
  await eventually(t, async (t) => {
    const view = await api.getTraining({ params: { training } });
    t.deepEqual(
      view.epochs.map((line) => line.epoch),
      Array.from({ length: epoch }, (_, at) => at + 1),
      JSON.stringify(view),
    );
  });
}

/** What each run has trained may be what another has trained before only past the checkpoint that it went on from. */
function repeatsNothing(t: ExecutionContext, notes: readonly Note[]): void {
  let from = 0;
  for (const note of notes) {
    from = note.from ?? from;
    if (note.epoch !== undefined) t.true(note.epoch > from, JSON.stringify(notes));
  }
}

test('A training loses nothing to kills of each service and of its worker, nor to an update', async (t) => {
  t.timeout(600_000, 'nine processes start one after the other, and a lease has to run out');
  await using services = await open();
  const { api, storage, compute, dicebox, trainer } = services;
  const set = await storePictures(services);
  const request: TrainingRequest = { id: randomUUID(), set, epochs: EPOCHS };
  const { id } = await api.createTraining({ body: request });
  t.regex((await api.getTraining({ params: { training: id } })).why ?? '', /No worker/);

  const first = trainer('first');
  await first.start();
  await services.allow(1);
  await reached(t, services, id, 1);

  await dicebox.kill();
  await dicebox.start();
  t.is((await api.createTraining({ body: request })).id, id);
  await services.allow(2);
  await reached(t, services, id, 2);
  await eventually(t, (t) => t.regex(storage.printed, /A checkpoint was stored/));

  await compute.kill();
  await services.allow(3);
  await eventually(t, async (t) => t.is((await services.notes()).at(-1)?.epoch, 3));
  await compute.start();
  await reached(t, services, id, 3);

  // As when a container dies with all that is in it.
  await first.kill();
  const running = (await services.notes()).at(-1)?.pid ?? 0;
  if (running > 0) process.kill(running, 'SIGKILL');
  const second = trainer('second');
  await second.start();
  await services.allow(4);
  await reached(t, services, id, 4);

  // An update: it is told to stop, and another takes its place.
  const before = (await services.notes()).length;
  await second.kill('SIGTERM');
  const third = trainer('third');
  await third.start();
  await services.allow(5, 6);
  await eventually(t, async (t) => {
    const view = await api.getTraining({ params: { training: id } });
    t.like(view, { status: 'done', best: { epoch: EPOCHS } }, JSON.stringify(view));
  });
  const notes = await services.notes();
  repeatsNothing(t, notes);
  t.deepEqual(
    notes.slice(before).map(({ from, epoch }) => from ?? epoch),
    [4, 5, 6],
    'an update repeats nothing',
  );
  await reached(t, services, id, EPOCHS);
  const { items } = await api.listTrainings({ query: {} });
  t.deepEqual(
    items.map((one) => one.id),
    [id],
  );
});

test.skipIf(!existsSync(join(TRAINER, 'node_modules')))(
  'The picture trainer goes on elsewhere when its processor is updated, and repeats no epoch',
  async (t) => {
    t.timeout(600_000, 'six processes start one after the other, two of them with TensorFlow');
    await using services = await open(join(TRAINER, 'bin'));
    const { api, orders, trainer } = services;
    // More than are waited for: that it goes on is what is looked at.
    const request: TrainingRequest = { id: randomUUID(), set: await storePictures(services), epochs: 9000 };
    const { id } = await api.createTraining({ body: request });
    const linesOf = async (attempt: number) => {
      const query = { limit: 200 };
      const lines: unknown[] = [];
      let cursor: string | undefined;
      do {
        const page = await orders.orderMetrics({ params: { id }, query: { ...query, cursor } });
        lines.push(...page.items.filter((one) => one.attempt === attempt).map(({ line }) => line));
        cursor = page.next;
      } while (cursor !== undefined);
      return lines;
    };
    const first = trainer('first');
    await first.start();
    await eventually(t, async (t) => t.true((await linesOf(1)).length >= 3));
    await first.kill('SIGTERM');
    const before = await linesOf(1);
    const second = trainer('second');
    await second.start();
    await eventually(t, async (t) => t.true((await linesOf(2)).length > before.length));
    // They have their seconds, too: an epoch that was trained again would have others.
    t.deepEqual((await linesOf(2)).slice(0, before.length), before);
    const view = await api.cancelTraining({ params: { training: id } });
    t.like(view, { status: 'cancelled', attempt: 2 });
    t.deepEqual(
      view.epochs.map(({ epoch }) => epoch),
      view.epochs.map((_, at) => at + 1),
    );
  },
);
