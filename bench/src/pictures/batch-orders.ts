import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { picturesClient } from '@morpheo/client/dicebox';
import { PICTURE_BOUNDS } from '@morpheo/common';
import { augment } from '@morpheo/dicebox/augment';
import { greyPng } from '@morpheo/dicebox/testing/pictures';
import { freePorts, mainOf, ServiceProcess } from '@morpheo/real-parts';
import { randomOf } from '@morpheo/search';
import { type BenchContext, type BenchSize, type Rate, type Report, rateOf, timed } from '../bench.ts';
import { startServer } from '../process/start-server.ts';

/** How many pictures there are, and for how long samples are polled, in milliseconds. */
const SIZES: Readonly<Record<BenchSize, { readonly pictures: number; readonly ms: number }>> = {
  full: { pictures: 10_000, ms: 20_000 },
  quick: { pictures: 5000, ms: 8000 },
  tiny: { pictures: 60, ms: 300 },
};
const TOGETHER = 16;
const SHAPE = { width: 28, height: 28, channels: 1 } as const;
/** Every other sample is turned, and every other one scaled. */
const NOISE = 0.5;
const CATEGORIES = 10;
const KEY = 'the-key-of-the-benchmark';

/**
 * Pictures stored by hundreds, and samples of a batch polled one by one as clients of the original do, by one and by 16 at once:
 * the sensory service and storage-api as processes. Beside them what a sample is made of, in one process without any service.
 */
export async function batchOrders({ folder, size, say }: BenchContext): Promise<Report> {
  const { pictures, ms } = SIZES[size];
  await using storage = await startServer('storage', [join(folder, 'storage')]);
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  await using service = new ServiceProcess({
    main: mainOf('dicebox'),
    flags: {
      port,
      serve: 'sensory',
      'data-dir': join(folder, 'dicebox'),
      compute: url,
      storage: storage.url,
    },
    env: { MORPHEO_DICEBOX_API_KEY: KEY, MORPHEO_DICEBOX_LOG_LEVEL: 'error' },
    ready: `${url}/health`,
    output: 'show',
  });
  await service.start();
  say(`batch-orders: ${pictures} pictures are stored`);
  const stored = await timed(async () => await store(url, pictures));
  const poll = poller(url, pictures);
  for (let warm = 0; warm < 20; warm += 1) await poll();
  say('batch-orders: alone');
  const alone = await rateOf([poll], ms);
  say(`batch-orders: ${TOGETHER} at once`);
  const together = await rateOf(Array<typeof poll>(TOGETHER).fill(poll), ms);
  const bare = await rateOf([bareSample(pictures)], ms / 4);
  await service.kill('SIGTERM');
  return reportOf({ alone, together, bare, stored: (pictures / stored.ms) * 1000 });
}

/** Stores pictures of random pixels, and has them packed. */
async function store(url: string, pictures: number): Promise<void> {
  const client = picturesClient({ url, token: () => `dicebox.${KEY}` });
  const { id: set } = await client.createPictureSet({ body: { name: 'bench', width: 28, height: 28 } });
  for (let at = 0; at < pictures; at += PICTURE_BOUNDS.lines) {
    const count = Math.min(PICTURE_BOUNDS.lines, pictures - at);
    const lines = Array.from({ length: count }, (_, line) => {
      const data = greyPng(SHAPE.width, SHAPE.height, () => randomInt(256)).toString('base64');
      return `${JSON.stringify({ category: `c${(at + line) % CATEGORIES}`, name: `${at + line}.png`, data })}\n`;
    });
    const blob = new Blob(lines);
    const { items } = await client.storePictures({ params: { set }, body: { body: blob.stream(), blob } });
    if (items.length !== count || items.some(({ status }) => status !== 201))
      throw new Error(`Of ${count} pictures not all were stored.`);
  }
  const { shards } = await client.takeSnapshot({ params: { set } });
  if (shards.reduce((all, shard) => all + shard.pictures, 0) !== pictures)
    throw new Error('Not all pictures are in shards.');
}

/** Polls the next sample, of another batch where one has come to its end. */
function poller(url: string, pictures: number): () => Promise<void> {
  const ask = async <T>(path: string, body: object): Promise<T> => {
    const headers = { 'API-ACCESS-KEY': KEY, 'API-VERSION': '0.3.0', 'content-type': 'application/json' };
    const answer = await fetch(`${url}/api/sensory/${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  const order = async () =>
    (await ask<{ batch_id: string }>('batch', { batch_size: pictures, noise: NOISE })).batch_id;
  let batch = order();
  return async () => {
    for (;;) {
      const current = batch;
      const { data } = await ask<{ data: number[] | null }>('poll', { batch_id: await current });
      if (data?.length === SHAPE.width * SHAPE.height) return;
      if (data !== null) throw new Error(`A sample has ${data.length} values.`);
      if (batch === current) batch = order();
    }
  };
}

/** Makes the text of a sample from pixels in memory. */
function bareSample(pictures: number): () => Promise<void> {
  const bytes = SHAPE.width * SHAPE.height;
  const all = Buffer.from(Uint8Array.from({ length: pictures * bytes }, (_, at) => (at * 7919) % 251));
  let sample = 0;
  return async () => {
    const random = randomOf('sample', 1, sample);
    const picture = random.below(pictures);
    const pixels = augment(all.subarray(picture * bytes, (picture + 1) * bytes), SHAPE, NOISE, random);
    const label = Array.from({ length: CATEGORIES }, (_, index) => Number(index === picture % CATEGORIES));
    if (JSON.stringify({ label, data: [...pixels] }).length < bytes) throw new Error('The sample is short.');
    sample += 1;
  };
}

interface Figures {
  readonly alone: Rate;
  readonly together: Rate;
  readonly bare: Rate;
  /** Pictures a second. */
  readonly stored: number;
}

function reportOf({ alone, together, bare, stored }: Figures): Report {
  const line = (what: string, { perSecond, p50, p99 }: Rate) => ({
    ...{ what, 'per s': perSecond, 'p50 ms': p50, 'p99 ms': p99 },
  });
  return {
    name: 'batch-orders',
    title: 'samples of a batch of 28 × 28 pictures, polled one by one',
    rows: [
      line('one caller', alone),
      line(`${TOGETHER} callers`, together),
      line('the pixels of a sample, as text, in one process', bare),
    ],
    aims: [],
    notes: [
      `Stored ${Math.round(stored)} pictures a second, ${PICTURE_BOUNDS.lines} in a request: decoded, on disk, and packed into shards.`,
      'A poll is committed before it is answered, and again when its answer has left. The callers share the processors with the services.',
    ],
    bars: [
      { label: 'samples a second, 16 callers', value: together.perSecond, unit: '/s', plain: false },
      { label: 'their pixels alone', value: bare.perSecond, unit: '/s', plain: true },
    ],
  };
}
