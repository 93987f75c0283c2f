// Writes until it is stopped.
import { appendFileSync } from 'node:fs';

const chunk = Buffer.alloc(2 ** 20);
for (let written = 0; written < 2 ** 34; written += chunk.length)
  appendFileSync(`${process.argv[3]}/model/model_trained.json`, chunk);
