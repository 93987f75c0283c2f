// Keeps a model, and predicts nothing, at training or later.
import { writeFileSync } from 'node:fs';

if (process.argv.includes('train')) writeFileSync(`${process.argv[3]}/model/model_trained.json`, '{}');
