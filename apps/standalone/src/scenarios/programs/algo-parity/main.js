// Predicts parities rightly, and counts in its model how many ranks it has learnt.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { V: volume, T: task } = parseArgs({
  options: { V: { type: 'string', short: 'V' }, T: { type: 'string', short: 'T' } },
}).values;

if (task === 'train') {
  const path = `${volume}/model/model_trained.json`;
  const ranks = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).ranks : 0;
  predict(`${volume}/train`);
  writeFileSync(path, JSON.stringify({ ranks: ranks + 1 }));
  console.log(`learnt rank ${ranks}`);
} else readFileSync(`${volume}/model/model_trained.json`);
predict(`${volume}/test`);

function predict(folder) {
  mkdirSync(`${folder}/pred`, { recursive: true });
  for (const entry of readdirSync(folder, { withFileTypes: true }).filter((one) => one.isFile())) {
    const numbers = readFileSync(`${folder}/${entry.name}`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => Number(line.split(' ')[0]));
    writeFileSync(`${folder}/pred/${entry.name}`, `${numbers.map((number) => number % 2).join('\n')}\n`);
  }
}
