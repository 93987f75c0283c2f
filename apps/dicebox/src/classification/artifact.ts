import { PICTURE_BOUNDS, PlatformError, sha256Hex } from '@morpheo/common';
import { z } from 'zod';
import type { Peers } from '../clients.ts';

/** A training that is done. */
export interface DoneTraining {
  /** Its id, which is that of its order. */
  readonly training: string;
  /** The resource on storage that it has left. */
  readonly output: string;
  /** The algorithm on storage that has trained, and answers for its networks. */
  readonly algo: string;
  /** The labels of workers that have this algorithm's programs. */
  readonly labels: Readonly<Record<string, string>>;
}

/** What a network is, as its training has described it, and where it lies. */
export interface Network extends DoneTraining {
  /** The SHA-256 of its weights. */
  readonly digest: string;
  /** The part of held-out pictures whose category it told, 0 to 1. */
  readonly accuracy: number;
  /** By their indices. */
  readonly categories: readonly string[];
  readonly width: number;
  readonly height: number;
  /** 1: grey; 3: red, green and blue. */
  readonly channels: 1 | 3;
}

/** What of storage-api is asked about networks. */
export type NetworkStorage = Pick<Peers['storage'], 'listOutputFiles' | 'getOutputFile'>;

const FOLDER = 'network/';
const DESCRIPTION = `${FOLDER}network.json`;
/** A description is read as a whole; one of a thousand tensors has a tenth of this, in bytes. */
const MOST_DESCRIPTION = 4 * 1024 ** 2;
const F32 = 4;
const size = z.int().min(1).max(65_536);

const description = z.object({
  version: z.literal(1),
  genome: z.object({ input_shape: z.union([z.array(size), size]), output_size: size }),
  categories: z.array(z.string().min(1).max(PICTURE_BOUNDS.name)).min(2).max(PICTURE_BOUNDS.categories),
  width: size,
  height: size,
  channels: z.union([z.literal(1), z.literal(3)]),
  accuracy: z.number().min(0).max(1),
  weights: z.object({
    file: z.string().regex(/^[\w.-]+$/),
    digest: z
      .string()
      .transform((text) => text.replace(/^sha256:/, ''))
      .pipe(sha256Hex),
    tensors: z
      .array(z.object({ name: z.string(), shape: z.array(z.int().min(0)), offset: z.int().min(0) }))
      .min(1)
      .max(10_000),
  }),
});

type Description = z.infer<typeof description>;

/**
 * Reads what a training has left, and checks that it fits together: its categories, its input, and its weights. Throws
 * `wrong_state` with the reason where it is no network that can be asked, and `unavailable` where storage does not answer.
 */
export async function readNetwork(storage: NetworkStorage, done: DoneTraining): Promise<Network> {
  const { training, output } = done;
  const { items } = await storage.listOutputFiles({
    params: { uuid: output },
    query: { prefix: FOLDER, limit: 1000 },
  });
  const sizes = new Map(items.map((file) => [file.path, file]));
  const bytes = sizes.get(DESCRIPTION)?.size;
  if (bytes === undefined) throw unfit(training, `its training has left no ${DESCRIPTION}`);
  if (bytes > MOST_DESCRIPTION)
    throw unfit(training, `${DESCRIPTION} has more than ${MOST_DESCRIPTION} bytes`);
  const file = await storage.getOutputFile({
    params: { uuid: output },
    query: { path: DESCRIPTION },
    headers: {},
  });
  const found = parse(training, await new Response(file.body ?? null).text());
  const { weights, accuracy, categories, width, height, channels } = found;
  const wrong = misfit(found, sizes.get(`${FOLDER}${weights.file}`));
  if (wrong !== undefined) throw unfit(training, wrong);
  return { ...done, digest: weights.digest, accuracy, categories, width, height, channels };
}

function parse(training: string, text: string): Description {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw unfit(training, `${DESCRIPTION} is no JSON`, cause);
  }
  const read = description.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw unfit(training, `${DESCRIPTION}: ${issue?.path.join('.')}: ${issue?.message}`, read.error);
}

/** What of a network contradicts something else of it, in one sentence. */
function misfit(
  { genome, categories, width, height, channels, weights: { file, digest, tensors } }: Description,
  stored: { readonly size: number; readonly sha256: string } | undefined,
): string | undefined {
  if (new Set(categories).size < categories.length) return 'two of its categories have the same name';
  const inputs = [genome.input_shape].flat().reduce((product, length) => product * length, 1);
  if (inputs !== width * height * channels)
    return `it takes ${[genome.input_shape].flat().join(' × ')} numbers, and its pictures are ${width} × ${height} × ${channels}`;
  if (genome.output_size !== categories.length)
    return `it has ${genome.output_size} outputs, and ${categories.length} categories`;
  if (stored === undefined) return `its weights, network/${file}, are not there`;
  if (stored.sha256 !== digest) return 'its weights have another digest than it says';
  const end = Math.max(
    ...tensors.map(({ shape, offset }) => offset + F32 * shape.reduce((a, b) => a * b, 1)),
  );
  if (end !== stored.size)
    return `its weights are of another shape: its tensors end at byte ${end}, and there are ${stored.size}`;
  return undefined;
}

function unfit(training: string, why: string, cause?: unknown): PlatformError {
  const message = `The network of training ${training} cannot be used: ${why}.`;
  return new PlatformError('wrong_state', message, { cause });
}
