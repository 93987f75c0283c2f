import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { describe, type EngineKind, openEngine } from '../engine.ts';
import { classesOf } from '../network/score.ts';
import { Refusal } from '../refusal.ts';
import { readNetwork } from '../results/network-folder.ts';
import { bytesOf } from '../training/checkpoint.ts';
import { Classifier } from './classifier.ts';
import { type Call, type Outcome, WorkerDoor } from './door.ts';

/** The label `morpheo.max_batch` of the algorithm says the same. */
const MOST_CALLS = 32;

const request = z.object({ count: z.int().min(1).max(100_000) });

/**
 * Answers calls of the worker at `socketPath` with the network in `folder`, as long as the process lives. A call has
 * `pictures.u8` and `request.json` with their `count`; its answer is `probabilities.f32` (little-endian, a row for each
 * picture) and `answer.json` with the names of the `categories` and the `classes`, an index of them for each picture.
 *
 * @throws Refusal where the network cannot be used.
 */
export async function serve(
  folder: string,
  socketPath: string | undefined,
  { engine: wanted, say }: { readonly engine?: EngineKind | undefined; say(text: string): void },
): Promise<never> {
  if (socketPath === undefined)
    throw new Refusal('MORPHEO_RUNNER names no socket: start this program as a runner (morpheo call).');
  const stored = await readNetwork(join(folder, 'network'));
  const engine = await openEngine(wanted ?? servingEngine(process.env));
  const classifier = new Classifier(engine, stored);
  // The first pictures take many times as long: code is compiled for them.
  for (const count of [1, MOST_CALLS])
    classifier.probabilities(new Uint8Array(count * classifier.pictureBytes));
  say(`Answers for pictures of ${classifier.size} with ${describe(engine)}.`);
  const door = new WorkerDoor(socketPath);
  for (;;) {
    const calls = await door.next(MOST_CALLS);
    const outcomes = answerAll(classifier, calls);
    await Promise.all(calls.map((call, place) => door.done(call.id, outcomes[place] ?? { ok: true })));
  }
}

/**
 * A single picture takes TensorFlow's own library several times as long as WebAssembly, since each operation costs a
 * way through the addon, and batches of 32 small pictures cost about the same. With a GPU it is the other way round.
 */
function servingEngine({ CUDA_VISIBLE_DEVICES: gpus = '' }: NodeJS.ProcessEnv): 'wasm' | undefined {
  return gpus === '' ? 'wasm' : undefined;
}

/** Computes the pictures of all calls together. A call that is wrong fails alone. */
export function answerAll(classifier: Classifier, calls: readonly Call[]): readonly Outcome[] {
  const read = calls.map((call) => picturesOf(classifier, call));
  const pixels = read.map((given) => (given instanceof Uint8Array ? given : new Uint8Array()));
  const rows = classifier.probabilities(Buffer.concat(pixels));
  const width = classifier.categories.length;
  let from = 0;
  return calls.map((call, place): Outcome => {
    const given = read[place];
    if (!(given instanceof Uint8Array)) return given ?? { ok: true };
    const to = from + (given.length / classifier.pictureBytes) * width;
    const own = rows.slice(from, to);
    from = to;
    const answer = { categories: classifier.categories, classes: classesOf(own, width) };
    writeFileSync(join(call.outputs, 'probabilities.f32'), bytesOf(own));
    writeFileSync(join(call.outputs, 'answer.json'), JSON.stringify(answer));
    return { ok: true };
  });
}

/** Small files are read at once: to hand one to another thread takes longer than to read it. */
function picturesOf({ pictureBytes, size }: Classifier, { inputs }: Call): Uint8Array | Outcome {
  try {
    const { count } = request.parse(JSON.parse(readFileSync(join(inputs, 'request.json'), 'utf8')));
    const pixels = readFileSync(join(inputs, 'pictures.u8'));
    if (pixels.length === count * pictureBytes) return pixels;
    const message = `pictures.u8 has ${pixels.length} bytes, and ${count} pictures of ${size} have ${count * pictureBytes}.`;
    return { ok: false, type: 'Refusal', message };
  } catch (error) {
    const [type, message] = error instanceof Error ? [error.name, error.message] : ['Error', `${error}`];
    return { ok: false, type, message };
  }
}
