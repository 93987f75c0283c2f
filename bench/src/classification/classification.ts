import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { computeClient, storageClient } from '@morpheo/client';
import {
  type Api,
  type ComputeContract,
  hasEnded,
  job,
  type StorageContract,
  TRAINER_LABELS,
  TRAINING_LABELS,
} from '@morpheo/common';
import { fashionMnist, freePorts, mainOf, ServiceProcess } from '@morpheo/real-parts';
import { z } from 'zod';
import { type BenchContext, type BenchSize, percentile, type Report, rateOf } from '../bench.ts';
import { load } from '../orders/load.ts';
import { uploadAlgo } from '../overhead/programs.ts';
import { startServer } from '../process/start-server.ts';
import { shardsOf, TRAINING } from '../search/pictures.ts';
import { startBareRunner } from '../warm/bare-runner.ts';
import { CALLERS, connection, MS, type Row, reportOf } from '../warm/figures.ts';

const KEY = 'the key of the benchmark';
const SET = 'fashion_28x28';
/** Who calls with the key: classification takes networks of this one's trainings alone. */
const OWNER = 'dicebox';
const SIDE = 28;
const AIMS = { p50: 15, perSecond: 300 };
/** How many pictures are learnt from: what is learnt does not matter here. */
const PICTURES: Readonly<Record<BenchSize, number>> = { full: 2000, quick: 2000, tiny: 100 };
const TRAINER = fileURLToPath(new URL('../../../programs/picture-trainer/', import.meta.url));

/**
 * Classifications of pictures of 28 × 28 by the classification service, on the runner of a network that was trained on the
 * platform, beside the trainer's program as a plain process, which is given the pixels.
 */
export async function classification({ folder, size, say }: BenchContext): Promise<Report> {
  const home = join(folder, 'home');
  await using platform = await startServer('platform', [home, '1', join(TRAINER, 'bin')]);
  const found = connection.parse(JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')));
  const { credentials } = found;
  const storage = storageClient({ url: found.storage, credentials });
  const compute = computeClient({ url: found.compute, credentials });
  say('classification: a network is trained');
  const output = await trained(storage, compute, PICTURES[size]);
  const pictures = await testPictures();
  const rows = await bareRows(storage, output, pictures, { folder, size, say });

  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  await using dicebox = new ServiceProcess({
    main: mainOf('dicebox'),
    flags: {
      ...{ port, serve: 'classification', 'data-dir': join(folder, 'dicebox'), 'picture-set': SET },
      ...{ compute: found.compute, 'compute-user': credentials.name, 'compute-password': credentials.secret },
      ...{ storage: found.storage, 'storage-user': credentials.name, 'storage-password': credentials.secret },
      ...{ 'api-key': KEY, 'api-user': OWNER, 'watch-trainings': '100ms', 'log-level': 'error' },
    },
    ready: `${url}/health`,
    output: 'show',
  });
  await dicebox.start();
  const authorization = `Basic ${Buffer.from(`${OWNER}:${KEY}`).toString('base64')}`;
  await untilInUse(url, authorization);
  const bodies = pictures.map((pixels) => JSON.stringify({ data: pngOf(pixels).toString('base64') }));
  const measured: Row[] = [];
  for (const callers of CALLERS) {
    say(`classification: ${callers} callers`);
    let asked = 0;
    const asking = {
      ...{ url, path: '/v1/classify', callers, status: 200, authorization },
      next: () => ({ id: '', body: bodies[asked++ % bodies.length] ?? '' }),
      check: demandClassified,
    };
    await load({ ...asking, ms: 0 });
    const before = await platform.usage();
    const { accepted, seconds, latencies } = await load({ ...asking, ms: MS[size] });
    const used = (await platform.usage()).cpuSeconds - before.cpuSeconds;
    measured.push({
      ...{ what: 'classification service', callers, perSecond: accepted.length / seconds },
      ...{ p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) },
      cpu: (used / accepted.length) * 1e6,
    });
  }
  return reportOf([...rows, ...measured], {
    name: 'classification',
    title: 'classifications of a picture of 28 × 28 by a small CNN, beside its program as a plain process',
    ...{ measured, many: 'pictures', aims: AIMS },
    notes: [
      'Three processes: the platform, the classification service, and the program of the network. The service takes PNGs, the bare program pixels. The CPU time is that of the platform.',
    ],
  });
}

/** Trains a network, and resolves to the resource that it has left. */
async function trained(
  storage: Api<StorageContract>,
  compute: Api<ComputeContract>,
  pictures: number,
): Promise<string> {
  const id = randomUUID();
  const algo = await uploadAlgo(storage, join(TRAINER, 'algorithm'), ['Dockerfile']);
  const inputs = [...(await shardsOf(storage, 'train', pictures)), ...(await shardsOf(storage, 'test', 50))];
  const settings = JSON.stringify({ ...TRAINING, network: { preset: 'small-cnn' }, epochs: 1, held_out: 0 });
  const body = job.parse({
    ...{
      uuid: id,
      algo,
      command: ['train', '/config/training.json'],
      labels: { [TRAINING_LABELS.set]: SET, [TRAINING_LABELS.owner]: OWNER },
    },
    needs: { labels: TRAINER_LABELS },
    inputs: [...inputs, { path: '/config/training.json', inline: Buffer.from(settings).toString('base64') }],
  });
  const { output = '' } = await compute.postJob({ body });
  for await (const { data } of await compute.orderEvents({ params: { id }, headers: {} })) {
    if (data.what === 'done') return output;
    if (hasEnded(data.status)) throw new Error(`The training ended so: ${JSON.stringify(data)}`);
  }
  throw new Error('The history of the training ended before it was done');
}

/** The pixels of some pictures that the network has not seen. */
async function testPictures(): Promise<Buffer[]> {
  const { pixels } = await fashionMnist('test');
  const bytes = SIDE * SIDE;
  return Array.from({ length: 64 }, (_, n) => Buffer.from(pixels.subarray(n * bytes, (n + 1) * bytes)));
}

/** What the program of the network does without a platform: a call is a picture, in a folder that is there already. */
async function bareRows(
  storage: Api<StorageContract>,
  output: string,
  pictures: readonly Buffer[],
  { folder, size, say }: BenchContext,
): Promise<Row[]> {
  const bare = join(folder, 'bare');
  await mkdir(join(bare, 'network'), { recursive: true });
  for (const name of ['network.json', 'weights.bin']) {
    const query = { path: `network/${name}` };
    const file = await storage.getOutputFile({ params: { uuid: output }, query, headers: {} });
    await writeFile(join(bare, 'network', name), await new Response(file.body ?? null).bytes());
  }
  const env = { TRAINER_NETWORK: bare };
  await using program = await startBareRunner(bare, {
    command: join(TRAINER, 'bin/picture-trainer'),
    args: ['serve'],
    env,
  });
  const rows: Row[] = [];
  for (const callers of CALLERS) {
    say(`classification: the bare program, ${callers} callers`);
    const calls = await Promise.all(
      Array.from({ length: callers }, async (_, n) => {
        const [inputs, outputs] = [join(bare, `${callers}-${n}-in`), join(bare, `${callers}-${n}-out`)];
        for (const place of [inputs, outputs]) await mkdir(place);
        await writeFile(join(inputs, 'pictures.u8'), pictures[n] ?? '');
        await writeFile(join(inputs, 'request.json'), '{"count":1}');
        return async () => await program.call({ inputs, outputs });
      }),
    );
    await calls[0]?.();
    const rate = await rateOf(calls, MS[size]);
    rows.push({ what: 'bare process over the same socket', callers, ...rate, cpu: Number.NaN });
  }
  return rows;
}

const networks = z.object({ items: z.array(z.object({ state: z.string(), reason: z.string().optional() })) });

/** How long a network may take until it answers, in milliseconds. */
const TAKEN_MS = 60_000;

async function untilInUse(url: string, authorization: string): Promise<void> {
  for (const start = performance.now(); performance.now() < start + TAKEN_MS; ) {
    const answer = await fetch(`${url}/v1/networks`, { headers: { authorization } });
    const { items } = networks.parse(await answer.json());
    if (items.some(({ state }) => state === 'current')) return;
    const refused = items.find(({ state }) => state === 'refused');
    if (refused !== undefined) throw new Error(`The network is refused: ${refused.reason}`);
    await pause(20);
  }
  throw new Error(`No network of a training of ${OWNER} was taken into use.`);
}

const classified = z.object({ category: z.string(), probabilities: z.array(z.unknown()).length(10) });

function demandClassified(text: string): void {
  classified.parse(JSON.parse(text));
}

/** A grey PNG. Source: PNG (third edition), §5 and §11.2. */
function pngOf(pixels: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header.writeUInt8(8, 8);
  const lines = Array.from({ length: SIDE }, (_, y) =>
    Buffer.concat([Buffer.of(0), pixels.subarray(y * SIDE, (y + 1) * SIDE)]),
  );
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(lines))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}
