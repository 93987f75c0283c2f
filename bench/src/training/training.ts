import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findProgram } from '@morpheo/real-parts';
import { type BenchContext, type BenchSize, median, type Report } from '../bench.ts';
import {
  ADDON,
  BATCH,
  type EpochLine,
  type Learnt,
  linesOf,
  output,
  runTrainer,
  writeInputs,
} from './inputs.ts';

/** How much is learnt, and how often each way is run. */
interface Amount extends Learnt {
  readonly rounds: number;
}

const SIZES: Readonly<Record<BenchSize, Amount>> = {
  full: { pictures: 10_000, tests: 2000, epochs: 5, rounds: 3 },
  quick: { pictures: 10_000, tests: 2000, epochs: 4, rounds: 1 },
  tiny: { pictures: 200, tests: 100, epochs: 2, rounds: 1 },
};
const MOST = 1.7;
/** What trains: its name, and the epochs of a run of it. */
interface Way {
  readonly name: string;
  readonly isPlain: boolean;
  run(): Promise<EpochLine[]>;
}

/**
 * Seconds an epoch of the picture trainer with each of its engines, on pictures of Fashion-MNIST, beside TensorFlow for
 * Python with the same network, pictures and batches on the same processors, in turns. The first epoch of a run is left
 * out: that is when each of them compiles.
 */
export async function training({ folder, size, say }: BenchContext): Promise<Report> {
  const amount = SIZES[size];
  await writeInputs(folder, amount);
  const ways = waysOf(folder, amount);
  const found = new Map<string, EpochLine[]>(ways.map(({ name }) => [name, []]));
  for (let round = 0; round < amount.rounds; round++) {
    for (const { name, run } of ways) {
      say(`training: ${name}`);
      found.get(name)?.push(...(await run()).slice(1));
    }
  }
  const rows = ways.map(({ name, isPlain }) => {
    const lines = found.get(name) ?? [];
    const seconds = median(lines.map((line) => line.seconds));
    return { name, isPlain, seconds, accuracy: lines.at(-1)?.accuracy ?? Number.NaN };
  });
  return reportOf(rows, amount);
}

function waysOf(folder: string, { epochs }: Amount): Way[] {
  const trainer = (name: string, engine: string): Way => ({
    ...{ name, isPlain: false },
    run: async () => await runTrainer(folder, engine),
  });
  const python = findProgram('python3-tensorflow');
  const script = fileURLToPath(new URL('train.py', import.meta.url));
  const plain: Way = {
    ...{ name: 'TensorFlow for Python', isPlain: true },
    run: async () => linesOf(await output(python ?? '', [script, folder, `${epochs}`, `${BATCH}`], {})),
  };
  return [
    ...(python === undefined ? [] : [plain]),
    ...(existsSync(ADDON) ? [trainer('picture trainer, TensorFlow', 'native')] : []),
    trainer('picture trainer, WebAssembly (one core)', 'wasm'),
  ];
}

/** What was found of one way. */
interface Row {
  readonly name: string;
  readonly isPlain: boolean;
  readonly seconds: number;
  readonly accuracy: number;
}

function reportOf(rows: readonly Row[], { pictures, tests, epochs, rounds }: Amount): Report {
  const plain = rows.find(({ isPlain }) => isPlain);
  const native = rows.find(({ isPlain }) => !isPlain);
  const ratio = (native?.seconds ?? Number.NaN) / (plain?.seconds ?? Number.NaN);
  return {
    name: 'training',
    title: `seconds an epoch of ${pictures.toLocaleString('en')} pictures of 28 × 28, batches of ${BATCH}`,
    rows: rows.map(({ name, seconds, accuracy }) => ({
      ...{ what: name, 's/epoch': seconds, 'pictures/s': pictures / seconds },
      ...{ 'of Python': plain === undefined ? '' : seconds / plain.seconds, accuracy },
    })),
    aims:
      plain === undefined
        ? []
        : [{ what: 'seconds an epoch, times TensorFlow for Python', measured: ratio, most: MOST }],
    notes: [
      `The median of ${rounds} runs of ${epochs} epochs each, in turns, without the first epoch of each; the accuracy is that of the last epoch on ${tests.toLocaleString('en')} other pictures, which are measured within the seconds.`,
      ...(plain === undefined
        ? ['TensorFlow for Python is not here: utils/real-parts/install/python-tensorflow installs it.']
        : []),
    ],
    bars: rows.map(({ name, seconds, isPlain }) => ({
      ...{ label: name, value: seconds, unit: 's/epoch', plain: isPlain },
    })),
  };
}
