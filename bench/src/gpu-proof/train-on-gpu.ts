import { join } from 'node:path';
import { missingParts } from '@morpheo/real-parts';
import { median } from '../bench.ts';
import { BATCH, type EpochLine, runTrainer, TRAINER, writeInputs } from '../training/inputs.ts';
import { outputOf, type Proof } from './proof.ts';

const AMOUNT = { pictures: 10_000, tests: 2000, epochs: 4 };
const LEAST = 0.8;

/** The picture trainer takes the GPU by itself, and learns as it does on processors. */
export const trainOnGpu: Proof = {
  name: 'the picture trainer trains on the GPU',
  missing: async () => missingParts('fashion-mnist'),
  show: async ({ folder, say }) => {
    say('installing TensorFlow for GPUs ...');
    await outputOf(join(TRAINER, 'install'), ['gpu']);
    await writeInputs(folder, AMOUNT);
    const onGpu = await runTrainer(folder, 'native');
    const devices = new Set(onGpu.map(({ device }) => device));
    if (!devices.has('gpu') || devices.size > 1) {
      throw new Error(`it trained on the ${[...devices].join(' and ')}: the log of picture-trainer says why`);
    }
    const accuracy = onGpu.at(-1)?.accuracy ?? 0;
    if (accuracy < LEAST) throw new Error(`it learnt to an accuracy of ${accuracy} only`);
    const onCpu = await runTrainer(folder, 'native', { CUDA_VISIBLE_DEVICES: '' });
    return `${secondsOf(onGpu)} s an epoch of ${AMOUNT.pictures} pictures in batches of ${BATCH} (${secondsOf(onCpu)} s on the processors), accuracy ${accuracy}`;
  },
};

function secondsOf(lines: readonly EpochLine[]): string {
  return median(lines.slice(1).map(({ seconds }) => seconds)).toFixed(2);
}
