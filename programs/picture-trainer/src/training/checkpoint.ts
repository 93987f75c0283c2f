import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { type Genome, genomeSchema } from '../genome/genome.ts';
import type { TrainingState } from './state.ts';

/** The name of the file, in the folder of checkpoints and in the outputs. */
export const CHECKPOINT_FILE = 'training.state';

const number = z.number();
const score = z.object({ loss: number, right: number, pictures: number });
const line = z.object({
  ...{ epoch: number, loss: number, accuracy: number, train_loss: number, train_accuracy: number },
  ...{ seconds: number, engine: z.string(), device: z.string(), pictures: number },
});
const head = z.object({
  version: z.literal(1),
  genome: genomeSchema,
  epoch: z.int().min(0),
  lines: z.array(line).readonly(),
  best: z.object({ epoch: number, accuracy: number, loss: number }).optional(),
  improved: z.object({ epoch: number, accuracy: number }).optional(),
  within: z.object({ batch: z.int().min(0), score, seconds: number }).optional(),
  step: z.int().min(0),
  parameters: z.int().min(1),
  slots: z.int().min(0).max(8),
  /** SHA-256 of all that follows. */
  digest: z.string(),
});

/** What a file of a checkpoint holds. */
export interface Checkpoint {
  readonly genome: Genome;
  readonly state: TrainingState;
}

/**
 * Keeps the state of a training in a folder, by which a later process goes on. Whoever looks finds this one or the one
 * before, whole: it is written beside and renamed.
 */
export async function writeCheckpoint(path: string, { genome, state }: Checkpoint): Promise<void> {
  const { values, optimizer, best, ...rest } = state;
  const rows = [values, ...optimizer.slots, ...(best === undefined ? [] : [best.values])];
  const body = Buffer.concat(rows.map(bytesOf));
  const text = JSON.stringify({
    ...{ version: 1, genome, ...rest },
    best: best && { epoch: best.epoch, accuracy: best.accuracy, loss: best.loss },
    ...{ step: optimizer.step, parameters: values.length, slots: optimizer.slots.length },
    digest: createHash('sha256').update(body).digest('hex'),
  } satisfies z.input<typeof head>);
  const beside = join(dirname(path), `.${CHECKPOINT_FILE}`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(beside, Buffer.concat([Buffer.from(`${text}\n`), body]));
  await rename(beside, path);
}

/** Reads a checkpoint: undefined where there is none. Rejects with why, where it is damaged. */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  const end = file.indexOf('\n');
  if (end === -1) throw new Error('it has no head');
  const {
    genome,
    best,
    step,
    parameters,
    slots,
    digest,
    version: _,
    ...rest
  } = head.parse(JSON.parse(file.toString('utf8', 0, end)));
  const body = file.subarray(end + 1);
  if (createHash('sha256').update(body).digest('hex') !== digest)
    throw new Error('its digest is another one');
  const rows = rowsOf(body, parameters);
  const [values, ...others] = rows;
  const bestValues = others[slots];
  if (values === undefined || rows.length !== 1 + slots + (best === undefined ? 0 : 1))
    throw new Error('it has another length than it says');
  return {
    genome,
    state: {
      ...{ epoch: rest.epoch, lines: rest.lines, improved: rest.improved, within: rest.within, values },
      optimizer: { slots: others.slice(0, slots), step },
      best: best && bestValues && { ...best, values: bestValues },
    },
  };
}

/** The bytes of numbers: little-endian, as the processors that this runs on have them. */
export function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** The numbers that bytes are. The bytes may lie anywhere. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

function rowsOf(body: Uint8Array, length: number): readonly Float32Array[] {
  const size = length * Float32Array.BYTES_PER_ELEMENT;
  return Array.from({ length: body.length / size }, (_, row) =>
    floatsOf(body.subarray(row * size, (row + 1) * size)),
  );
}
