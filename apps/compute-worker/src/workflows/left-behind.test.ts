import type { FailureReason } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { DEFAULT_LIMITS } from '../config/limits.ts';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { doublingProblem, programArchive } from '../testing/programs.ts';
import { failureOf, openTestWorker, resultOf } from '../testing/test-worker.ts';

/** What a hostile algorithm leaves where *perf* and the packing of the model would look; `volume` is its `/data`. */
const HONEST = `
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
const volume = process.argv[3];
const [train] = fs.readdirSync(volume + '/train').filter((name) => name !== 'pred');
const [test] = fs.readdirSync(volume + '/test').filter((name) => name !== 'pred');
for (const folder of ['/train', '/test']) fs.mkdirSync(volume + folder + '/pred');
fs.writeFileSync(volume + '/model/model_trained.json', '{}');
fs.writeFileSync(volume + '/train/pred/' + train, '6');
fs.writeFileSync(volume + '/test/pred/' + test, '14');
const pred = volume + '/test/pred/' + test;
const model = volume + '/model/more';
`;

/** What is done after that, and the file that the failure then names. */
const TRICKS: Readonly<Record<string, readonly [code: string, file: RegExp]>> = {
  'a link to the hidden test set as its prediction': [
    "fs.rmSync(pred); fs.symlinkSync('/hidden_data/test/' + test, pred);",
    /^\/data\/test\/pred\//,
  ],
  'a link to the test set of its workspace as its prediction': [
    "fs.rmSync(pred); fs.symlinkSync('../../../perf/test/' + test, pred);",
    /^\/data\/test\/pred\//,
  ],
  'a link in place of the folder of predictions': [
    "fs.rmSync(volume + '/test/pred', { recursive: true }); fs.symlinkSync('../../perf/test', volume + '/test/pred');",
    /^\/data\/test\/pred$/,
  ],
  'a FIFO as its prediction': ["fs.rmSync(pred); execFileSync('mkfifo', [pred]);", /^\/data\/test\/pred\//],
  'a folder as its prediction': ['fs.rmSync(pred); fs.mkdirSync(pred);', /^\/data\/test\/pred\//],
  'a link in its model': ["fs.symlinkSync('/hidden_data/test', model);", /^\/data\/model\/more$/],
  'a FIFO in its model': ["execFileSync('mkfifo', [model]);", /^\/data\/model\/more$/],
};

const openRuntime = async (folder: string) => await openProcessRuntime({ folder, log: silentLog });

async function train(code: string) {
  await using setup = await openTestWorker({ openRuntime });
  const { storage } = setup;
  const order = setup.learn({
    workflow: storage.put('problem', doublingProblem()),
    algo: storage.put('algo', programArchive(`${HONEST}${code}`)),
    train_data: [storage.put('data', '3 6')],
    test_data: [storage.put('data', '7 14')],
  });
  await setup.worker.settle();
  return { order, staged: storage.staged.size };
}

for (const [what, [code, file]] of Object.entries(TRICKS)) {
  test(`No algorithm has followed what it leaves: ${what}`, async (t) => {
    const { order, staged } = await train(code);
    const failure = failureOf(order);
    t.is(failure.reason, 'invalid_result');
    t.regex(failure.file ?? '', file);
    t.is(staged, 0);
    // All of it is looked at before anybody reads it: nobody has read through a link.
    t.false(order.started.includes('perf'));
  });
}

/** What a hostile job leaves in its outputs, and how it ends for that. */
const OUTPUTS: Readonly<Record<string, readonly [code: string, reason: FailureReason, file?: RegExp]>> = {
  'a link out of its workspace': [
    "fs.symlinkSync('/etc', out + '/etc');",
    'invalid_result',
    /^\/outputs\/etc$/,
  ],
  'a link in place of the folder': [
    'fs.rmSync(out, { recursive: true }); fs.symlinkSync(process.env.HOME, out);',
    'invalid_result',
    /^\/outputs$/,
  ],
  'a FIFO deep inside': [
    "fs.mkdirSync(out + '/a/b', { recursive: true }); execFileSync('mkfifo', [out + '/a/b/pipe']);",
    'invalid_result',
    /^\/outputs\/a\/b\/pipe$/,
  ],
  'too many files': ["for (let n = 0; n < 60; n += 1) fs.writeFileSync(out + '/' + n, '');", 'disk_full'],
  'a file that says that it is large': [
    "fs.writeFileSync(out + '/hole', ''); fs.truncateSync(out + '/hole', 5e9);",
    'disk_full',
  ],
};

for (const [what, [code, reason, file]] of Object.entries(OUTPUTS)) {
  test(`No job has a result of what is none: ${what}`, async (t) => {
    const limits = { run: { ...DEFAULT_LIMITS.run, diskFiles: 50, diskBytes: 1e9 } };
    await using setup = await openTestWorker({ openRuntime, limits });
    const program = `import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
const out = fs.realpathSync(process.env.MORPHEO_OUTPUTS);
${code}`;
    const order = setup.job({ algo: setup.storage.put('algo', programArchive(program)) });
    await setup.worker.settle();
    const failure = failureOf(order);
    t.is(failure.reason, reason, failure.message);
    if (file !== undefined) t.regex(failure.file ?? '', file);
    t.is(setup.storage.staged.size, 0);
  });
}

test('The same without a trick is measured, also with a hard link in its model', async (t) => {
  const { order, staged } = await train("fs.linkSync(volume + '/model/model_trained.json', model);");
  t.is(resultOf(order).performance?.perf, 1);
  t.is(staged, 1);
});
