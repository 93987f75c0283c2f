import { mkdtempDisposable } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts, mainOf, quickFolder, ServiceProcess } from '@morpheo/real-parts';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { DATABASE, openTables } from '../db/tables.ts';
import { KEY, VERSION_OF } from '../testing/open-dicebox.ts';
import { openStorage } from '../testing/open-sensory.ts';
import { numbered } from '../testing/pictures.ts';
import { Packing } from './packing.ts';
import { PictureSets } from './sets.ts';
import { storePictures } from './store.ts';

/** How many samples are polled: those of the original's trainer in `make soak`, a part of them with each change. */
const SAMPLES = process.env.MORPHEO_SOAK === '1' ? 15_000 : 1500;
const POLLERS = 4;

const SET = { name: 'dice', width: 4, height: 4 };

/** Writes pictures as they are stored, two thirds of them into shards; they differ in their first two values. */
async function fill(folder: string, storage: Awaited<ReturnType<typeof openStorage>>): Promise<void> {
  await using database = await openTables({ engine: 'sqlite', file: join(folder, DATABASE.file) }, silentLog);
  const { id } = await new PictureSets(database).make('dicebox', SET);
  const bytes = numbered(0);
  const ready = Array.from({ length: SAMPLES }, (_, number) => ({
    ...({ category: `c${number % 10}`, name: null, digest: '', format: 'png', bytes } as const),
    pixels: Buffer.alloc(16)
      .fill(number >> 8, 0, 1)
      .fill(number & 255, 4, 5),
  }));
  await storePictures(database, id, ready);
  const packing = new Packing({
    database,
    storage: storage.calls,
    log: silentLog,
    shardPictures: SAMPLES / 3,
  });
  const set = await new PictureSets(database).find('dicebox');
  await packing.upTo(set, (SAMPLES * 2) / 3);
}

interface Polled {
  readonly label: number[] | null;
  readonly data: number[] | null;
}

test(`All of ${SAMPLES} samples are polled, though the service is killed meanwhile`, async (t) => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(quickFolder(), 'dicebox-killed-'))).path;
  const storage = stack.use(await openStorage());
  await fill(folder, storage);
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const service = stack.use(
    new ServiceProcess({
      main: mainOf('dicebox'),
      flags: { port, serve: 'sensory', 'data-dir': folder, compute: url, storage: storage.url },
      env: { MORPHEO_DICEBOX_API_KEY: KEY },
      ready: `${url}/health`,
    }),
  );
  const ask = async <T>(path: string, body: object): Promise<T> => {
    const answer = await fetch(`${url}/api/sensory/${path}`, {
      method: 'POST',
      headers: {
        'API-ACCESS-KEY': KEY,
        'API-VERSION': VERSION_OF['2019'],
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
    });
    return (await answer.json()) as T;
  };
  await service.start();
  const { batch_id } = await ask<{ batch_id: string }>('batch', { batch_size: SAMPLES, noise: 0 });
  const numbers: number[] = [];
  const killed = Promise.withResolvers<void>();
  /** Resolves when it has heard that there is nothing more. */
  const poll = async (): Promise<void> => {
    for (;;) {
      const polled = await ask<Polled>('poll', { batch_id }).catch(() => undefined);
      if (polled === undefined) await up;
      else if (polled.data === null || polled.label === null) return;
      else {
        const number = (polled.data[0] ?? 0) * 256 + (polled.data[1] ?? 0);
        numbers.push(number);
        t.is(polled.label.indexOf(1), number % 10);
        if (numbers.length === SAMPLES / 2) killed.resolve();
      }
    }
  };
  const up = killed.promise.then(async () => {
    await service.crash();
    await service.start();
  });
  await Promise.all(Array.from({ length: POLLERS }, poll));
  await up;
  await poll();
  t.is(new Set(numbers).size, SAMPLES);
  // What was whole on its way when the service died may have come, unknown to it: it is then given again.
  t.true(numbers.length <= SAMPLES + POLLERS, `${numbers.length} answers`);
  t.log(`${SAMPLES} samples in ${numbers.length} answers`);
});
