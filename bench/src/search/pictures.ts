import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Api, StorageContract } from '@morpheo/common';
import { FASHION_CATEGORIES, fashionMnist } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { upload, uploadData } from '../overhead/programs.ts';

const TRAINER = fileURLToPath(new URL('../../../programs/picture-trainer/', import.meta.url));
/** The most pictures of a shard. */
const SHARD = 5000;

/** So many pictures of Fashion-MNIST to learn, and so many others to measure on. */
export interface Pictures {
  readonly train: number;
  readonly test: number;
}

/** The job of a search for networks that learn pictures, which are uploaded, with the trainer of this checkout. */
export async function networkJob(
  storage: Api<StorageContract>,
  { train, test }: Pictures,
): Promise<Readonly<Record<string, unknown>>> {
  const dockerfile = [
    'FROM morpheo/picture-trainer:1',
    `ENV PATH=${join(TRAINER, 'bin')}:$PATH`,
    'ENV TRAINER_PICTURES=/pictures/train TRAINER_TEST=/pictures/test TRAINER_START=/start',
    'ENTRYPOINT ["picture-trainer"]',
    '',
  ].join('\n');
  const algo = await upload(
    storage,
    'algo',
    { name: 'picture-trainer' },
    rawTarGz([{ name: 'Dockerfile', body: dockerfile }]),
  );
  const inputs = [...(await shardsOf(storage, 'train', train)), ...(await shardsOf(storage, 'test', test))];
  return { algo, command: ['train', '/config/training.json'], inputs };
}

/** What stands in the settings of each training beside its network and its epochs. */
export const TRAINING = {
  ...{ version: 1, id: 'trial', seed: 1, batch_size: 64 },
  categories: [...FASHION_CATEGORIES].sort((a, b) => (a < b ? -1 : 1)),
} as const;

/** The networks that are searched. */
export const NETWORKS = {
  ...{ kind: 'network', input_shape: [28, 28, 1], output_size: FASHION_CATEGORIES.length },
  ...{ max_layers: 4, max_neurons: 128, max_filters: 8, max_kernel: 3, max_dropout: 0.5 },
  ...{ layer_types: ['dense', 'dropout', 'conv2d', 'max_pooling2d'], max_parameters: 150_000 },
} as const;

/** Uploads the first pictures of Fashion-MNIST, and returns the inputs of a training that they are. */
export async function shardsOf(storage: Api<StorageContract>, part: keyof Pictures, count: number) {
  const set = await fashionMnist(part);
  const { width, height } = set;
  const size = width * height;
  const inputs = [];
  for (let from = 0; from < count; from += SHARD) {
    const some = Math.min(SHARD, count - from);
    const categories = [...set.labels.subarray(from, from + some)].map((label) => FASHION_CATEGORIES[label]);
    const index = { version: 1, name: part, width, height, channels: 1, count: some, categories };
    const uuid = await uploadData(
      storage,
      rawTarGz([
        { name: 'index.json', body: JSON.stringify(index) },
        { name: 'pixels.u8', body: Buffer.from(set.pixels.subarray(from * size, (from + some) * size)) },
      ]),
    );
    const path = `/pictures/${part}/${String(from / SHARD).padStart(3, '0')}`;
    inputs.push({ path, resource: { type: 'data', uuid }, unpack: true });
  }
  return inputs;
}
