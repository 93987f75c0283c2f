import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { newMark, ownersOf, proberArchive } from '../testing/marks.ts';
import { openTestWorker, resultOf } from '../testing/test-worker.ts';

/**
 * What the process runtime can promise of hidden targets, which is little: what an algorithm is given holds none. That
 * it is not kept from looking further is shown as well, so that nobody takes the one for the other.
 */
const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });

/** Two trainings with the same inputs, by a prober that climbs so many folders up. */
async function trainTwice(up: number) {
  await using setup = await openTestWorker({ openRuntime });
  const { storage } = setup;
  const env = { PROBE_UP: String(up) };
  const inputs = {
    workflow: storage.put('problem', proberArchive({ mark: newMark('problem') })),
    algo: storage.put('algo', proberArchive({ mark: newMark('algo'), env })),
    train_data: [storage.put('data', newMark('train'))],
    test_data: [storage.put('data', `${newMark('shown')}\n${newMark('target')}`)],
  };
  const [first, second] = [setup.learn(inputs), setup.learn({ ...inputs, gpus: 0 })];
  await setup.worker.settle();
  const model = storage.put('model', storage.staged.get(`${first.id}.1`)?.bytes ?? '', { algo: inputs.algo });
  const prediction = setup.predict({ model, data: storage.put('data', newMark('train')) });
  await setup.worker.settle();
  return { first, second, prediction };
}

test('What a plain process is given holds no target', async (t) => {
  const { first, second, prediction } = await trainTwice(0);
  t.is(resultOf(first).performance?.perf, 1);
  t.deepEqual(ownersOf(first, 'detarget'), ['problem', 'shown', 'target']);
  t.deepEqual(ownersOf(first, 'train'), ['algo', 'shown', 'train']);
  t.true(second.steps.some(({ step, cached }) => step === 'detarget' && cached === true));
  t.deepEqual(ownersOf(second, 'train'), ['algo', 'shown', 'train']);
  t.true(ownersOf(second, 'perf').includes('target'));
  t.deepEqual(ownersOf(prediction, 'predict'), ['algo', 'carried', 'train']);
});

test('A plain process that looks further finds targets, since nothing isolates it', async (t) => {
  // From `work/<order>.<attempt>/<step>.scratch/root`, where it starts, to the folder of the worker.
  const { second } = await trainTwice(4);
  t.true(ownersOf(second, 'train').includes('target'));
});
