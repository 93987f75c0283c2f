// Predicts, and keeps no model.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';

const volume = process.argv[3];
for (const folder of [`${volume}/train`, `${volume}/test`]) {
  const names = readdirSync(folder).filter((name) => name !== 'pred');
  mkdirSync(`${folder}/pred`, { recursive: true });
  for (const name of names) writeFileSync(`${folder}/pred/${name}`, '1\n');
}
