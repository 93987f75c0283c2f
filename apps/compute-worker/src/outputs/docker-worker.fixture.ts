import { openDockerRuntime } from '../runtime/docker/index.ts';
import { optionsFor } from '../runtime/docker/testing/harness.ts';
import { doublingAlgorithm, doublingProblem } from '../testing/programs.ts';
import { openTestWorker } from '../testing/test-worker.ts';

/** Has a worker of this user run an order whose programs close all that they leave, on a daemon; prints what became of it. */
const [host = '', parent = ''] = process.argv.slice(2);
const fs = "const fs = await import('node:fs');\n";

const algorithm = `${fs}fs.chmodSync(volume + '/test/pred', 0);
if (task === 'train') {
  fs.mkdirSync(volume + '/model/d/e', { recursive: true });
  fs.writeFileSync(volume + '/model/d/e/f', 'x');
  fs.chmodSync(volume + '/model/d/e', 0o555);
  fs.chmodSync(volume + '/model/d', 0);
  fs.chmodSync(model, 0);
  fs.chmodSync(volume + '/model', 0o555);
}`;
const problem = `${fs}if (task === 'detarget') fs.chmodSync(submission + '/test', 0o500);
else {
  fs.chmodSync(hidden + '/perf/performance.json', 0);
  fs.chmodSync(hidden + '/perf', 0);
}`;

const openRuntime = async (folder: string) => await openDockerRuntime(optionsFor(host, folder));
await using setup = await openTestWorker({ openRuntime, parent });
const { storage } = setup;
const order = setup.learn({
  workflow: storage.put('problem', doublingProblem(problem)),
  algo: storage.put('algo', doublingAlgorithm(algorithm)),
  train_data: [storage.put('data', '3 6')],
  test_data: [storage.put('data', '7 14')],
});
await setup.worker.settle();
console.log(JSON.stringify({ reports: order.reports, left: await setup.workspaces() }));
