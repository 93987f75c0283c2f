// Its model is of several files; it predicts from all of them.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const volume = process.argv[3];
const model = `${volume}/model`;
if (process.argv.includes('train')) {
  mkdirSync(`${model}/layers`, { recursive: true });
  writeFileSync(`${model}/weights.bin`, '1');
  writeFileSync(`${model}/layers/first.json`, '"1"');
  for (const folder of [`${volume}/train`, `${volume}/test`]) predict(folder, '1');
} else
  predict(
    `${volume}/test`,
    readFileSync(`${model}/weights.bin`, 'utf8') &&
      JSON.parse(readFileSync(`${model}/layers/first.json`, 'utf8')),
  );

function predict(folder, answer) {
  const names = readdirSync(folder).filter((name) => name !== 'pred');
  mkdirSync(`${folder}/pred`, { recursive: true });
  for (const name of names) writeFileSync(`${folder}/pred/${name}`, `${answer}\n`);
}
