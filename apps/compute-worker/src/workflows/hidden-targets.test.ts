import type { Learnuplet } from '@morpheo/common';
import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { openDockerRuntime } from '../runtime/docker/index.ts';
import { optionsFor, SOME_SPARES } from '../runtime/docker/testing/harness.ts';
import { findsOf, newMark, ownersOf, type ProberOptions, proberArchive } from '../testing/marks.ts';
import type { TestOrder } from '../testing/memory-compute.ts';
import type { MemoryStorage } from '../testing/memory-storage.ts';
import { openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

/**
 * That an algorithm reaches no byte of the targets it is measured by, nor anything else that is not its own: both
 * sides are the same prober (see testing/prober.ts), so that the problem's finds show that it would have found them.
 * Both ways of data are tried at once, on one daemon: what the one has is no more to be found by the other.
 */
const test = withParts(ava, 'docker');
let dind: Promise<SharedDind> | undefined;

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

async function openWorker(data: 'shared' | 'archive') {
  dind ??= openSharedDind();
  const { socketPath, jobs } = await dind;
  // What shares folders has containers that were started ahead as well.
  const openRuntime = async (folder: string) =>
    await openDockerRuntime(optionsFor(`unix://${socketPath}`, folder, { spares: SOME_SPARES }));
  const parent = data === 'shared' ? jobs : undefined;
  return await openTestWorker({ openRuntime, parent, slots: { learn: 2, predict: 1, job: 1 } });
}

/**
 * Spares the files of the base image, and what the kernel tells of the machine, which are the same for everybody: they
 * take most of the time. The algorithm of the first test spares nothing.
 */
const SPARING = { PROBE_SKIP: '/usr:/sys/kernel:/sys/devices' };

/** Far above what an order of five probing steps takes on a busy machine. */
const ORDER_MS = 300_000;

/** A training with a mark in each of its inputs. */
function markedInputs(storage: MemoryStorage, algo: Partial<ProberOptions>): Partial<Learnuplet> {
  return {
    workflow: storage.put('problem', proberArchive({ env: SPARING, mark: newMark('problem') })),
    algo: storage.put('algo', proberArchive({ mark: newMark('algo'), ...algo })),
    train_data: [storage.put('data', newMark('train'))],
    test_data: [storage.put('data', `${newMark('shown')}\n${newMark('target')}`)],
  };
}

/** Fails unless the problem's steps see what they should, which shows that the prober finds what is there. */
function demandSight(t: ExecutionContext, order: TestOrder, detargeted: 'now' | 'before'): void {
  if (detargeted === 'now') t.deepEqual(ownersOf(order, 'detarget'), ['problem', 'shown', 'target']);
  const found = ownersOf(order, 'perf');
  for (const owner of ['problem', 'target', 'train', 'shown']) t.true(found.includes(owner), owner);
  const carried = findsOf(order, 'perf').filter(({ mark }) => mark.startsWith('carried'));
  t.deepEqual(
    carried.filter(({ at }) => !at.includes('/pred/')),
    [],
    'what is measured is as it came',
  );
}

for (const data of ['shared', 'archive'] as const) {
  test(`An algorithm reaches what is its own, and no target: ${data} data`, async (t) => {
    t.timeout(600_000, 'a prober reads every file of its image, in every step');
    await using setup = await openWorker(data);
    const { storage, worker } = setup;
    const mark = newMark('neighbour');
    const neighbour = setup.learn({
      ...markedInputs(storage, { mark, env: { ...SPARING, PROBE_STAYS: 'yes' } }),
      train_data: [storage.put('data', mark)],
    });
    await eventually(
      t,
      (inner) => inner.true(neighbour.log.some(({ text }) => text.includes('stays'))),
      ORDER_MS,
    );

    const env = data === 'shared' ? {} : SPARING;
    const inputs = markedInputs(storage, { probesBuild: true, env });
    const place = async (members: Partial<Learnuplet> = {}) => {
      const order = setup.learn({ ...inputs, ...members });
      await eventually(t, (inner) => inner.is(order.reports.length, 1), ORDER_MS);
      return order;
    };
    const first = await place();
    t.is(resultOf(first).performance?.perf, 1);
    demandSight(t, first, 'now');
    t.deepEqual(ownersOf(first, 'train'), ['algo', 'shown', 'train']);
    t.deepEqual(ownersOf(first, 'build'), ['algo']);
    t.regex(first.log.map(({ text }) => text).join(''), /left [1-9]\d* marks/);

    const second = await place();
    demandSight(t, second, 'before');
    t.true(second.steps.some(({ step, cached }) => step === 'detarget' && cached === true));
    t.deepEqual(ownersOf(second, 'train'), ['algo', 'shown', 'train'], 'nothing is left of the first order');

    const bytes = storage.staged.get(`${first.id}.1`)?.bytes ?? '';
    const model = storage.put('model', bytes, { algo: inputs.algo ?? '' });
    const next = await place({ rank: 1, model_start: model });
    demandSight(t, next, 'before');
    t.deepEqual(ownersOf(next, 'train'), ['algo', 'carried', 'shown', 'train']);
    t.deepEqual(
      findsOf(next, 'train').filter(
        ({ mark, at }) => mark.startsWith('carried') && !at.startsWith('/data/model/'),
      ),
      [],
      'of what the first rank left, its model alone is there',
    );

    const prediction = setup.predict({ model, data: storage.put('data', newMark('train')) });
    await eventually(t, (inner) => inner.is(prediction.reports.length, 1), ORDER_MS);
    t.is(reportOf(prediction).outcome, 'done');
    t.deepEqual(ownersOf(prediction, 'predict'), ['algo', 'carried', 'train']);

    const given = { type: 'data' as const, uuid: storage.put('data', newMark('given')) };
    const job = setup.job({
      algo: storage.put('algo', proberArchive({ mark: newMark('algo'), env: SPARING })),
      ...{ command: ['-V', '/outputs', '-T', 'job'], inputs: [{ path: '/in/data', resource: given }] },
    });
    await eventually(t, (inner) => inner.is(job.reports.length, 1), ORDER_MS);
    t.is(reportOf(job).outcome, 'done');
    t.deepEqual(
      ownersOf(job, 'job'),
      ['algo', 'given'],
      'nothing of the orders before it, nor of the neighbour',
    );
    t.is(neighbour.reports.length, 0, 'the neighbour ran all the while');
    await worker.drain();
  });
}
