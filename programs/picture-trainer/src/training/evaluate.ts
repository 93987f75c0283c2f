import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type EngineKind, openEngine } from '../engine.ts';
import { Network } from '../network/network.ts';
import { classesOf, NO_SCORE, scoreOf, sumOf } from '../network/score.ts';
import { labelled } from '../pictures/labelled.ts';
import { readShards, sizeText } from '../pictures/shards.ts';
import { Refusal } from '../refusal.ts';
import { readNetwork } from '../results/network-folder.ts';
import { judgements } from './epochs.ts';
import type { Places } from './places.ts';

/**
 * Measures a trained network on the test pictures, and writes `score.json` into the outputs: accuracy, loss, how many
 * pictures there were, and for each category how many of its pictures were given which category.
 *
 * @throws Refusal where network and pictures do not belong together.
 */
export async function evaluate(
  places: Places,
  { engine: wanted, say }: { readonly engine?: EngineKind | undefined; say(text: string): void },
): Promise<void> {
  const { genome, categories, values, ...size } = await readNetwork(join(places.network, 'network'));
  const pictures = labelled(await readShards(places.test), categories);
  if (sizeText(pictures) !== sizeText(size))
    throw new Refusal(
      `The network is made for pictures of ${sizeText(size)}, and these have ${sizeText(pictures)}.`,
    );
  if (pictures.labels.length === 0)
    throw new Refusal('There are no test pictures in the shards at /pictures/test.');
  const engine = await openEngine(wanted);
  using network = new Network(engine, genome, 0);
  network.restore(values);
  say(`Measures on ${pictures.labels.length} pictures with ${describe(engine)}.`);
  let score = NO_SCORE;
  const confusion = categories.map(() => categories.map(() => 0));
  for await (const { logits, labels } of judgements({ engine, network }, pictures)) {
    score = sumOf(score, scoreOf(logits, labels));
    const given = classesOf(logits, categories.length);
    for (const [place, label] of labels.entries()) {
      const row = confusion[label];
      const category = given[place] ?? -1;
      if (row !== undefined) row[category] = (row[category] ?? 0) + 1;
    }
  }
  const { loss, right, pictures: count } = score;
  const told = { accuracy: right / count, loss: loss / count, pictures: count, categories, confusion };
  await mkdir(places.outputs, { recursive: true });
  await writeFile(join(places.outputs, 'score.json'), `${JSON.stringify(told)}\n`);
  say(`The accuracy is ${(100 * told.accuracy).toFixed(2)} %.`);
}
