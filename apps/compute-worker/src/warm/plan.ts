import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { all, type JobInput, OrderFailure } from '@morpheo/common';
import type { Remembered } from '../async/remembered.ts';
import { type BlobName, nameOf } from '../inputs/download.ts';
import { cacheKey, type InputBlob } from '../inputs/fetch.ts';
import { mountsOf, placeInputs, resourcesOf } from '../inputs/job-inputs.ts';
import type { Supplies } from '../inputs/supplies.ts';
import type { PreparedRunner, RunnerPlan, RunnerProtocol } from '../runners/index.ts';
import { runnerKey } from '../runners/key.ts';
import type { PreparedImage, RunLimits } from '../runtime/index.ts';
import type { BareModel } from '../sheep/flock.ts';
import { nameClassically } from '../workflows/model-files.ts';

/** A runner as an order or a call names it. Of `image`, `algo` and `bare` it has one. */
export interface RunnerRequest {
  /** Whom it serves, and nobody else; empty: who has no name. */
  readonly owner: string;
  readonly protocol: RunnerProtocol;
  /** An image of a registry, by its digest. */
  readonly image?: string | undefined;
  /** The uuid of an algorithm on storage. */
  readonly algo?: string | undefined;
  /** A model of a bare sheep of this worker. */
  readonly bare?: BareModel | undefined;
  /** The uuid of the model that it serves, for people. */
  readonly model?: string | undefined;
  /** The problem whose data it sees; absent: it sees none. */
  readonly problem?: string | undefined;
  /** Of whom get to see what comes of what it does; see `audience` of a claim. */
  readonly audience?: string | undefined;
  /** Absent: those that the image has. */
  readonly args?: readonly string[] | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** What it starts with; none of a bucket. A model that is to be unpacked is laid as *predict* finds one. */
  readonly inputs?: readonly JobInput[] | undefined;
  /** As its worker allows them; `wallMs` is for one call. */
  readonly limits: RunLimits;
  readonly gpus: number;
  /** What compute-api knows it by, where a call without an order is for it. */
  readonly callKey?: string | undefined;
}

/** How an algorithm is told to stay and to answer one prediction after another. */
export const SERVE_ARGS: readonly string[] = ['-V', '/data', '-T', 'serve'];

/** The input of a runner that is the model which its algorithm serves. */
export function modelInput(uuid: string): JobInput {
  return { path: '/data/model', resource: { type: 'model', uuid }, unpack: true };
}

/**
 * Makes the plan of a runner: what makes it another one than any other, and how all that it reads comes. `open` gives what
 * brings that, by the rights of who asks now: once here, for what storage knows of it, and again whenever such a runner is
 * started. Where the key is `known`, nothing is asked. Throws `OrderFailure` for what is not on storage.
 */
export async function planRunner(
  request: RunnerRequest,
  open: (signal: AbortSignal) => Supplies,
  signal: AbortSignal,
  known?: KnownKeys,
): Promise<RunnerPlan> {
  const { owner, protocol, image, algo, bare, model, limits, gpus, callKey } = request;
  using supplies = open(signal);
  return {
    key: await knownKeyOf(request, supplies, known),
    shown: {
      owner,
      image: image ?? bare?.name ?? (algo === undefined ? '' : nameOf({ type: 'algo', uuid: algo })),
      ...(model === undefined ? {} : { model }),
      ...(callKey === undefined ? {} : { callKey }),
    },
    ...{ protocol, limits, gpus: bare?.gpus ?? gpus, seat: bare?.seat, program: bare?.program },
    prepare: async (folder, stop) => {
      using stack = new DisposableStack();
      const prepared = await prepareRunner(request, folder, stack.use(open(stop)));
      const held = stack.move();
      return { ...prepared, [Symbol.dispose]: () => held.dispose() };
    },
  };
}

/** Keys that were found before, by what was asked for and by a digest of all that storage holds for who asks. */
export interface KnownKeys {
  readonly keys: Remembered<string>;
  readonly held: string | undefined;
}

async function knownKeyOf(
  request: RunnerRequest,
  supplies: Supplies,
  known: KnownKeys | undefined,
): Promise<string> {
  if (known?.held === undefined) return await keyOf(request, supplies);
  const asked = createHash('sha256')
    .update(JSON.stringify([known.held, request]))
    .digest('hex');
  const key = known.keys.get(asked) ?? (await keyOf(request, supplies));
  known.keys.keep(asked, key);
  return key;
}

async function keyOf(request: RunnerRequest, supplies: Supplies): Promise<string> {
  const {
    owner,
    audience,
    protocol,
    problem,
    image,
    bare,
    algo,
    args,
    environment,
    inputs = [],
    limits,
    gpus,
  } = request;
  const [program, ...read] = await Promise.all([
    image ?? bare?.name ?? digestOf({ type: 'algo', uuid: algo ?? '' }, supplies),
    ...inputs.map(async (input) => [input.path, await digestOfInput(input, supplies)] as const),
  ]);
  return runnerKey({
    ...{ protocol, owner, audience, problem, image: program, args, environment, limits, gpus },
    inputs: Object.fromEntries(read),
  });
}

async function digestOfInput({ resource, inline, unpack }: JobInput, supplies: Supplies): Promise<string> {
  const digest =
    resource === undefined
      ? createHash('sha256')
          .update(inline ?? '')
          .digest('hex')
      : await digestOf(resource, supplies);
  return unpack === true ? `${digest} unpacked` : digest;
}

async function digestOf(name: BlobName, supplies: Supplies): Promise<string> {
  const { sha256 } = await supplies.describe(name);
  return `${name.type} ${cacheKey(name, sha256)}`;
}

/** Brings what a runner reads, side by side, into a folder of it. */
async function prepareRunner(
  request: RunnerRequest,
  folder: string,
  supplies: Supplies,
): Promise<PreparedRunner> {
  const { inputs = [], args, environment } = request;
  const bringImage = async (): Promise<PreparedImage> => {
    if (request.image !== undefined) return await supplies.pull(request.image);
    if (request.bare !== undefined) {
      await request.bare.demand();
      return { reference: request.bare.name, cached: true };
    }
    const archive = await supplies.fetch({ type: 'algo', uuid: request.algo ?? '' });
    return (await supplies.image(archive)).prepared;
  };
  const bringInputs = async () => await layInputs(inputs, folder, supplies);
  const [image] = await all(supplies.signal, [bringImage, bringInputs]);
  if (request.protocol === 'runner' && image.runner === undefined) throw notDeclared(request);
  return {
    image,
    ...(args === undefined ? {} : { args }),
    ...(environment === undefined ? {} : { environment }),
    mounts: mountsOf(inputs).map(({ folder: at, ...mount }) => ({ ...mount, host: join(folder, at) })),
  };
}

function notDeclared({ image, algo }: RunnerRequest): OrderFailure {
  const named = image ?? nameOf({ type: 'algo', uuid: algo ?? '' });
  const message = `The image of ${named} does not say that it is a warm runner.`;
  return new OrderFailure('runner_not_declared', { message, step: 'build' });
}

async function layInputs(inputs: readonly JobInput[], folder: string, supplies: Supplies): Promise<void> {
  const blobs = new Map<string, InputBlob>();
  for (const name of resourcesOf(inputs)) blobs.set(nameOf(name), await supplies.fetch(name));
  await placeInputs(inputs, (name) => found(blobs, name), folder, supplies);
  for (const [index, { resource, unpack }] of inputs.entries()) {
    const at = mountsOf(inputs)[index]?.folder;
    if (resource?.type === 'model' && unpack === true && at !== undefined)
      await nameClassically(join(folder, at));
  }
}

function found(blobs: ReadonlyMap<string, InputBlob>, name: BlobName): InputBlob {
  const blob = blobs.get(nameOf(name));
  if (blob === undefined) throw new Error(`${nameOf(name)} was not asked for`);
  return blob;
}
