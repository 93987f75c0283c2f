import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Genome, genomeSchema } from '../genome/genome.ts';
import { buildLayers, type WeightSpec } from '../network/layers.ts';
import { sizeOf } from '../network/network.ts';
import { Refusal, wrong } from '../refusal.ts';
import { bytesOf, floatsOf } from '../training/checkpoint.ts';

const number = z.number();
const count = z.int().min(0);

const schema = z.object({
  version: z.literal(1),
  genome: genomeSchema,
  /** Their order is that of the network's outputs. */
  categories: z.array(z.string()),
  ...{ width: count, height: count, channels: count },
  /** On pictures that were not learnt, where there are any. */
  accuracy: number,
  loss: number,
  measured_on: z.enum(['held_out', 'test', 'training']),
  /** The epoch whose weights these are. */
  epochs: count,
  engine: z.object({ name: z.string(), version: z.string(), device: z.string() }),
  parameters: count,
  weights: z.object({
    file: z.literal('weights.bin'),
    /** SHA-256 of the file. */
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    tensors: z.array(
      z.object({ name: z.string(), shape: z.array(count), dtype: z.literal('float32'), offset: count }),
    ),
  }),
});

/** What `network.json` says. */
export type NetworkFile = z.infer<typeof schema>;

/** A network that was trained, with its weights. */
export interface StoredNetwork extends Omit<NetworkFile, 'version' | 'weights' | 'parameters'> {
  readonly values: Float32Array;
}

/** Writes `network.json`, `weights.bin` and `category_map.json` into a folder, which is made. */
export async function writeNetwork(folder: string, { values, ...network }: StoredNetwork): Promise<void> {
  await mkdir(folder, { recursive: true });
  const bytes = bytesOf(values);
  const specs = buildLayers(network.genome).flatMap(({ weights }) => weights);
  const file: NetworkFile = {
    version: 1,
    ...network,
    parameters: values.length,
    weights: {
      file: 'weights.bin',
      digest: createHash('sha256').update(bytes).digest('hex'),
      tensors: tensorsOf(specs),
    },
  };
  await writeFile(join(folder, 'weights.bin'), bytes);
  await writeFile(join(folder, 'network.json'), `${JSON.stringify(file, null, 2)}\n`);
  const map = Object.fromEntries(network.categories.map((name, index) => [name, index]));
  await writeFile(join(folder, 'category_map.json'), `${JSON.stringify(map, null, 2)}\n`);
}

/**
 * Reads a network that {@link writeNetwork} has written.
 *
 * @throws Refusal where it is not there, damaged, or its weights are not those of its genome.
 */
export async function readNetwork(folder: string): Promise<StoredNetwork> {
  const { version: _, weights, parameters, ...network } = await readFileOf(folder);
  const specs = buildLayers(network.genome).flatMap((layer) => layer.weights);
  const expected = JSON.stringify(tensorsOf(specs));
  if (JSON.stringify(weights.tensors) !== expected)
    throw new Refusal(
      `The weights of the network have another shape than its genome: ${shapesText(weights.tensors)}, and not ${shapesText(tensorsOf(specs))}.`,
    );
  if (network.categories.length !== network.genome.output_size)
    throw new Refusal('The network has another number of outputs than of categories.');
  const bytes = await readFile(join(folder, weights.file)).catch(() => undefined);
  if (bytes === undefined) throw new Refusal('The network is damaged: its weights.bin cannot be read.');
  if (bytes.length !== parameters * Float32Array.BYTES_PER_ELEMENT)
    throw new Refusal(
      `The network is damaged: its weights.bin has ${bytes.length} bytes, and ${parameters} parameters have ${parameters * Float32Array.BYTES_PER_ELEMENT}.`,
    );
  if (createHash('sha256').update(bytes).digest('hex') !== weights.digest)
    throw new Refusal('The network is damaged: the digest of its weights.bin is another one.');
  return { ...network, values: floatsOf(bytes) };
}

async function readFileOf(folder: string): Promise<NetworkFile> {
  const text = await readFile(join(folder, 'network.json'), 'utf8').catch(() => undefined);
  if (text === undefined)
    throw new Refusal(
      'There is no network: network/network.json cannot be read. Give the output of a training.',
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal('The network is damaged: its network.json is not JSON.');
  }
  const found = schema.safeParse(value);
  if (!found.success) throw new Refusal(`The network is damaged: in network.json, ${wrong(found.error)}.`);
  return found.data;
}

function tensorsOf(specs: readonly WeightSpec[]): NetworkFile['weights']['tensors'] {
  let offset = 0;
  return specs.map(({ layer, name, shape }) => {
    const tensor = { name: `${layer}/${name}`, shape: [...shape], dtype: 'float32' as const, offset };
    offset += sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT;
    return tensor;
  });
}

function shapesText(tensors: NetworkFile['weights']['tensors']): string {
  return tensors.map(({ name, shape }) => `${name} ${shape.join(' × ')}`).join(', ');
}

/** Whether two genomes are the same network. */
export function isSameGenome(one: Genome, other: Genome): boolean {
  return JSON.stringify(genomeSchema.parse(one)) === JSON.stringify(genomeSchema.parse(other));
}
