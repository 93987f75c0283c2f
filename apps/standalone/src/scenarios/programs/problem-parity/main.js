// Data are lines "number parity". Detarget drops the parity; perf is the share of parities that were predicted.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const {
  T: task,
  i: hidden,
  s: submission,
} = parseArgs({
  options: {
    T: { type: 'string', short: 'T' },
    i: { type: 'string', short: 'i' },
    s: { type: 'string', short: 's' },
  },
}).values;

const files = (folder) => readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
const lines = (path) => readFileSync(path, 'utf8').trim().split('\n');

if (task === 'detarget') {
  for (const { name } of files(`${hidden}/test`)) {
    const numbers = lines(`${hidden}/test/${name}`).map((line) => line.split(' ')[0]);
    writeFileSync(`${submission}/test/${name}`, `${numbers.join('\n')}\n`);
  }
} else {
  const scores = (truth, predicted) =>
    Object.fromEntries(
      files(truth).map(({ name }) => [name, share(lines(`${truth}/${name}`), lines(`${predicted}/${name}`))]),
    );
  const test_perf = scores(`${hidden}/test`, `${submission}/test/pred`);
  const train_perf = scores(`${submission}/train`, `${submission}/train/pred`);
  const all = Object.values(test_perf);
  const perf = all.reduce((sum, score) => sum + score, 0) / all.length;
  writeFileSync(`${hidden}/perf/performance.json`, JSON.stringify({ perf, train_perf, test_perf }));
}

function share(truth, predicted) {
  return truth.filter((line, index) => line.split(' ')[1] === predicted[index]).length / truth.length;
}
