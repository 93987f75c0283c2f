import { buffer } from 'node:stream/consumers';
import { isPlatformError, PlatformError, TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import ava, { type ExecutionContext } from 'ava';
import { encoded } from '../resumable/testing.ts';
import { type FailingStore, failingStore, type Moment } from '../testing/failing-store.ts';
import { openTestStorage, type TestStorage } from '../testing/open-storage.ts';
import { bodyOf, formOf, id, sha256 } from '../testing/requests.ts';
import type { BlobStore } from './index.ts';

const version = { 'tus-resumable': TUS_VERSION };
const FAULTS = [
  new PlatformError('unavailable', 'The store is away.'),
  new PlatformError('disk_full', 'There is no room left.'),
  new Error('EIO: i/o error, /secret/place'),
];
/** The step whose thing another one removes. */
const REMOVED = 'the same bytes';
const MOMENTS: readonly Moment[] = ['before', 'halfway', 'after'];

/** A storage, the store that fails under it, and the one that never does under that. */
interface Place {
  readonly storage: TestStorage;
  readonly store: FailingStore;
  readonly inner: BlobStore;
}

/** One thing that a client does. `makes` is what is there once it is done, by its bytes. */
interface Step {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  readonly makes?: {
    readonly type: 'data' | 'problem' | 'algo' | 'model' | 'prediction';
    uuid: string;
    bytes: string;
  };
}

/** Sends the rest of a resumable upload, whatever of it is there. */
async function sendRest({ api }: TestStorage, upload: string, bytes: Buffer): Promise<void> {
  const params = { upload };
  const { headers } = await api.headUpload({ params, headers: version });
  for (let at = Number(headers['upload-offset']); at < bytes.byteLength; at += 10) {
    const body = bodyOf(bytes.subarray(at, at + 10), { contentType: TUS_CHUNK_TYPE });
    await api.patchUpload({ params, headers: { ...version, 'upload-offset': at }, body });
  }
}

/** All that is done to storage, in an order in which each finds what it needs; other ids and bytes for each `run`. */
function script(storage: TestStorage, run: number): Step[] {
  const { api } = storage;
  const uuid = (number: number) => id(run * 100 + number);
  const text = (number: number) => `run ${run}, the bytes of thing ${number}`;
  const form = (number: number, ...more: [string, string][]) =>
    formOf(['uuid', uuid(number)], ...more, ['size', '1'], ['blob', text(number)]);
  const stage = (order: number) =>
    api.stageResult({
      params: { order: uuid(order), attempt: 1 },
      query: { type: 'prediction', uuid: uuid(order + 1) },
      body: bodyOf(text(order + 1)),
    });
  const params = { type: 'data', uuid: uuid(1) } as const;
  let upload: string | undefined;
  const resumable = async () => {
    const metadata = encoded({ type: 'data', uuid: uuid(30), sha256: sha256(text(30)) });
    const length = { 'upload-length': text(30).length, 'upload-metadata': metadata };
    upload ??= (await api.createUpload({ headers: { ...version, ...length } })).headers.location?.split(
      '/',
    )[1];
    await sendRest(storage, upload ?? '', Buffer.from(text(30)));
  };
  const read = async (range?: string) => {
    const { body } = await api.getDataBlob({ params, headers: range === undefined ? {} : { range } });
    if (body !== undefined) await buffer(body);
  };
  const makes = (type: NonNullable<Step['makes']>['type'], number: number, bytes = text(number)) => ({
    makes: { type, uuid: uuid(number), bytes },
  });
  return [
    {
      name: 'upload',
      run: () => api.upload({ params: { type: 'data' }, query: { uuid: uuid(1) }, body: bodyOf(text(1)) }),
      ...makes('data', 1),
    },
    {
      name: REMOVED,
      run: () => api.upload({ params: { type: 'data' }, query: { uuid: uuid(2) }, body: bodyOf(text(1)) }),
      ...makes('data', 2, text(1)),
    },
    {
      name: 'a form',
      run: () => api.upload({ params: { type: 'algo' }, query: {}, body: form(3, ['name', 'a']) }),
      ...makes('algo', 3),
    },
    {
      name: 'a problem',
      run: () =>
        api.upload({
          params: { type: 'problem' },
          query: {},
          body: form(4, ['name', 'p'], ['description', 'd']),
        }),
    },
    {
      name: 'a model',
      run: () => api.uploadModel({ query: { uuid: uuid(5), algo: uuid(3) }, body: bodyOf(text(5)) }),
      ...makes('model', 5),
    },
    {
      name: 'patch',
      run: () =>
        api.patchProblem({ params: { uuid: uuid(4) }, body: formOf(['size', '1'], ['blob', text(6)]) }),
      ...makes('problem', 4, text(6)),
    },
    { name: 'stage', run: () => stage(10) },
    { name: 'stage again', run: () => stage(10) },
    {
      name: 'publish',
      run: () => api.publishResult({ params: { order: uuid(10), attempt: 1 }, query: {} }),
      ...makes('prediction', 11),
    },
    { name: 'stage another', run: () => stage(20) },
    { name: 'discard', run: () => api.discardResults({ params: { order: uuid(20) }, query: {} }) },
    { name: 'resumable', run: resumable, ...makes('data', 30) },
    { name: 'get', run: () => read() },
    { name: 'get a part', run: () => read('bytes=3-7') },
    { name: 'head', run: () => api.headDataBlob({ params: { uuid: uuid(1) }, headers: {} }) },
    { name: 'remove', run: () => api.remove({ params: { type: 'data', uuid: uuid(2) } }) },
    { name: 'collect', run: () => storage.collect() },
    { name: 'scrub', run: () => storage.scrub({ rate: 1e9 }) },
    { name: 'ready', run: () => storage.checks.blobs(AbortSignal.timeout(60_000)) },
  ];
}

/** Expects that what a step has made is there, byte for byte, by a way on which nothing fails. */
async function requireMade(
  t: ExecutionContext,
  { storage, inner }: Place,
  { name, makes }: Step,
): Promise<void> {
  if (makes === undefined) return;
  const { sha256: digest = '' } = await storage.api.get({ params: { type: makes.type, uuid: makes.uuid } });
  t.is((await buffer(await inner.get(digest))).toString(), makes.bytes, name);
}

/** Does all steps while one call of the store fails; what fails is done again, and then goes through. */
async function play(t: ExecutionContext, place: Place, steps: readonly Step[]): Promise<string[]> {
  const failed: string[] = [];
  for (const step of steps) {
    const error = await step.run().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined) {
      failed.push(step.name);
      // What is no error of the platform is told as `internal`, without its words, by the HTTP server.
      const said =
        isPlatformError(error, 'unavailable', 'disk_full', 'internal') || FAULTS.includes(error as Error);
      t.true(said, `${step.name}: ${error}`);
      if (isPlatformError(error)) t.notRegex(error.message, /secret/, step.name);
      // Where only the answer was lost, the thing is there.
      await step.run().catch((again: unknown) => {
        t.true(isPlatformError(again, 'conflict', 'not_found'), `${step.name} again: ${again}`);
      });
    }
    await requireMade(t, place, step);
  }
  return failed;
}

/** Removes all that the steps have made: nothing may be left then. */
async function cleared(t: ExecutionContext, { storage }: Place, steps: readonly Step[]): Promise<void> {
  for (const { name, makes } of [...steps].reverse()) {
    if (makes === undefined || name === REMOVED) continue;
    await storage.api.remove({ params: { type: makes.type, uuid: makes.uuid } }).catch((error: unknown) => {
      if (!isPlatformError(error, 'not_found')) throw error;
    });
  }
  for (const _ of [1, 2]) await storage.collect();
  t.deepEqual(await storage.files(), []);
  t.like(await storage.api.usage({}), { bytes: 0, blobs: 0, stored_bytes: 0 });
}

ava('whichever call of the store fails, nothing false is said, lost or left', async (t) => {
  t.timeout(240_000);
  const stores: Pick<Place, 'inner' | 'store'>[] = [];
  await using storage = await openTestStorage({ orphanGraceMs: 0 }, (inner) => {
    const store = failingStore(inner);
    stores.push({ inner, store });
    return store;
  });
  const [opened] = stores;
  if (opened === undefined) return t.fail('the store is not used');
  const place = { storage, ...opened };
  const { store } = place;
  store.failAt(-1, 'before', new Error('never'));
  let run = 1;
  const first = script(storage, run++);
  t.deepEqual(await play(t, place, first), []);
  const calls = [...store.calls];
  await cleared(t, place, first);
  const seen = new Map<string, number>();
  for (const index of calls.keys()) {
    for (const [number, moment] of MOMENTS.entries()) {
      const steps = script(storage, run++);
      const fault = FAULTS[(index + number) % FAULTS.length] ?? new Error('EIO');
      store.failAt(index, moment, fault);
      for (const name of await play(t, place, steps)) seen.set(name, (seen.get(name) ?? 0) + 1);
      store.failAt(-1, moment, fault);
      await cleared(t, place, steps);
    }
  }
  t.true(['upload', 'stage', 'patch', 'resumable', 'get'].every((name) => (seen.get(name) ?? 0) > 0));
  t.log(`${calls.length} calls of the store, ${MOMENTS.length} faults at each`);
});
