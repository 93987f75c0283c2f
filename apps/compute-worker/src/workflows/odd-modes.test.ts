import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { doublingAlgorithm, doublingProblem } from '../testing/programs.ts';
import { openTestWorker, resultOf } from '../testing/test-worker.ts';

const fs = "const fs = await import('node:fs');\n";

/** What a program does with its own files at its end: the worker owns them, and may open them again. */
const MODES: Readonly<Record<string, readonly [whose: 'algo' | 'problem', code: string]>> = {
  'a model that nobody may read': ['algo', "if (task === 'train') fs.chmodSync(model, 0);"],
  'a folder in its model that nobody may enter': [
    'algo',
    `if (task === 'train') {
      fs.mkdirSync(volume + '/model/d');
      fs.writeFileSync(volume + '/model/d/f', 'x');
      fs.chmodSync(volume + '/model/d', 0);
    }`,
  ],
  'predictions that nobody may list': ['algo', "fs.chmodSync(volume + '/test/pred', 0);"],
  'a prediction that nobody may read': [
    'algo',
    "for (const name of fs.readdirSync(volume + '/test/pred')) fs.chmodSync(volume + '/test/pred/' + name, 0);",
  ],
  'data without targets in a read-only folder': [
    'problem',
    "if (task === 'detarget') fs.chmodSync(submission + '/test', 0o500);",
  ],
  'a measure in a folder that nobody may enter': [
    'problem',
    "if (task !== 'detarget') fs.chmodSync(hidden + '/perf', 0);",
  ],
  'a measure that nobody may read': [
    'problem',
    "if (task !== 'detarget') fs.chmodSync(hidden + '/perf/performance.json', 0);",
  ],
  'read-only folders in one another': [
    'algo',
    `if (task === 'train') {
      fs.mkdirSync(volume + '/model/d/e', { recursive: true });
      for (const name of ['f', 'g', 'h']) fs.writeFileSync(volume + '/model/d/e/' + name, 'x');
      fs.chmodSync(volume + '/model/d/e', 0o555);
      fs.chmodSync(volume + '/model/d', 0o500);
      fs.chmodSync(volume + '/model', 0o555);
    }`,
  ],
};

for (const [what, [whose, code]] of Object.entries(MODES)) {
  test(`A program that leaves ${what} has its order done, and nothing stays on the disk`, async (t) => {
    const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });
    await using setup = await openTestWorker({ openRuntime });
    const { storage } = setup;
    const order = setup.learn({
      workflow: storage.put('problem', doublingProblem(whose === 'problem' ? fs + code : '')),
      algo: storage.put('algo', doublingAlgorithm(whose === 'algo' ? fs + code : '')),
      train_data: [storage.put('data', '3 6')],
      test_data: [storage.put('data', '7 14')],
    });
    await setup.worker.settle();
    t.is(resultOf(order).performance?.perf, 1);
    t.true((storage.staged.get(`${order.id}.1`)?.bytes.length ?? 0) > 0);
    t.deepEqual(await setup.workspaces(), []);
  });
}
