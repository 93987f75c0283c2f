/*
 * `picture-trainer train SETTINGS | evaluate | serve`. Ends with 0 when it is done, with 3 where what it was given cannot be worked
 * with (the last line of stderr says why), with 143 where SIGTERM has ended a training, with 2 where it is called wrongly.
 */
import { type EngineKind, EngineMissing } from './engine.ts';
import { Refusal } from './refusal.ts';
import { placesOf } from './training/places.ts';

const USAGE = 'usage: picture-trainer train SETTINGS.json | evaluate | serve';
const EXIT = { fault: 1, usage: 2, refused: 3, stopped: 143 } as const;

async function run([command, ...words]: readonly string[]): Promise<number> {
  const places = placesOf(process.env);
  const engine = wantedEngine(process.env.TRAINER_ENGINE);
  const say = (text: string) => console.log(text);
  const stop = new AbortController();
  const [settings] = words;
  if (command === 'train' && settings !== undefined && words.length === 1) {
    process.once('SIGTERM', () => stop.abort());
    // What a command does not use is not loaded.
    const { train } = await import('./training/train.ts');
    const end = await train(settings, { places, engine, signal: stop.signal, say });
    return end === 'stopped' ? EXIT.stopped : 0;
  }
  if (command === 'evaluate' && words.length === 0) {
    const { evaluate } = await import('./training/evaluate.ts');
    await evaluate(places, { engine, say });
    return 0;
  }
  if (command === 'serve' && words.length === 0) {
    const { serve } = await import('./serving/serve.ts');
    await serve(places.network, process.env.MORPHEO_RUNNER, { engine, say });
    return 0;
  }
  console.error(USAGE);
  return EXIT.usage;
}

function wantedEngine(name: string | undefined): EngineKind | undefined {
  if (name === undefined || name === 'native' || name === 'wasm') return name;
  throw new Refusal(`TRAINER_ENGINE is ${JSON.stringify(name)}: it should be native or wasm, or not be set.`);
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const isRefused = error instanceof Refusal || error instanceof EngineMissing;
  console.error(isRefused ? error.message : error);
  process.exitCode = isRefused ? EXIT.refused : EXIT.fault;
}
