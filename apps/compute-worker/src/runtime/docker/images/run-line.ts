import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { diskFull } from '../../../files/disk-full.ts';
import type { RunAction } from '../../dockerfile/plan/actions.ts';
import type { PrepareOptions, RunLimits, RunResult } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer, isFull } from '../client/errors.ts';
import { gpuRequest } from '../gpu/gpu-request.ts';
import { boundsOf, hardenedBuild } from '../hardening/hardening.ts';
import { LABELS, type Owner } from '../labels.ts';
import { runContainer, type WatchedRun } from '../run/run.ts';
import { daemonFailure } from './daemon-failure.ts';
import { demandSuccess } from './line-failure.ts';

/** What RUN lines are carried out with. */
export interface LineOptions extends PrepareOptions {
  readonly daemon: Daemon;
  readonly owner: Owner;
  /** Of one line; its bytes of output are what is left of the build's. */
  readonly limits: RunLimits;
  /** What the whole build may print. */
  readonly buildOutputBytes: number;
  /** SHA-256 of the archive. */
  readonly digest: string;
  /** Folders of the image that its base declares as volumes: memory, for as long as the line runs. */
  readonly volumes: readonly string[];
  /** Keeps a container of this name from being swept away as somebody's leftover. */
  readonly keepAlive: (name: string) => Disposable;
  readonly reconnectMs: number;
  /** Whether the daemon's disk has room. */
  readonly hasRoom: () => Promise<boolean>;
}

/** By other rules, other images. */
const RULES = 1;
/** How often what a line has written is measured, in milliseconds: it costs the daemon a walk. */
const MEASURE_MS = 1000;
/** Of what a line has printed so many characters are looked at for why it failed. */
const PRINTED = 16_384;
const listed = z.array(z.object({ Id: z.string(), ParentId: z.string() }));

/**
 * Runs a line in an image, and returns the id of the image that it makes: at once, where the same line was run in the
 * same image before. It runs in a container of its own, hardened and bounded as a step is but for
 * `BUILD_DIFFERENCES`: in its own control group, without a network, with bounds on memory, processors, processes,
 * disk and output.
 *
 * Throws `OrderFailure` where the line is at fault; what the daemon could not do is `unavailable` or `disk_full`.
 */
export async function runLine(image: string, action: RunAction, options: LineOptions): Promise<string> {
  const { daemon, signal } = options;
  const key = keyOf(image, action);
  const before = await findLine(daemon, image, key, signal);
  if (before !== undefined) {
    await options.onOutput({
      stream: 'stdout',
      bytes: Buffer.from('What this line made before is used again.\n'),
    });
    return before;
  }
  const name = `morpheo-build-${options.digest.slice(0, 8)}-${randomBytes(6).toString('hex')}`;
  using _alive = options.keepAlive(name);
  const container = new Container(daemon, name);
  await using _removal = {
    [Symbol.asyncDispose]: async () => await container.remove().catch(() => undefined),
  };
  await create(container, image, action, options);
  let printed = '';
  const onOutput: LineOptions['onOutput'] = async (chunk) => {
    printed = (printed + Buffer.from(chunk.bytes).toString('latin1')).slice(-PRINTED);
    await options.onOutput(chunk);
  };
  const result = await follow(container, action, { ...options, onOutput });
  // The line may have failed for want of room that is not its own.
  if (result.ended === 'exited' && result.exitCode !== 0 && isFull(printed) && !(await options.hasRoom()))
    throw diskFull('docker', 'The disk of the Docker daemon has no room for an image.');
  const limits = { ...options.limits, outputBytes: options.buildOutputBytes };
  demandSuccess(result, action, limits, printed);
  const Labels = { ...NOBODYS, [LABELS.context]: options.digest, [LABELS.line]: key };
  return await container.commit({ Env: kept(action), Labels }, signal);
}

/** The labels of a container are those of its image too, unless the image has others. */
const NOBODYS = { [LABELS.worker]: '', [LABELS.boot]: '' };

/** What a line made before. It has no name, so that it goes with the last image that starts from it. */
async function findLine(
  daemon: Daemon,
  image: string,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const query = { all: '1', filters: JSON.stringify({ label: [`${LABELS.line}=${key}`] }) };
  const images = listed.parse(await daemon.get('look for an image', '/images/json', { query, signal }));
  // What starts from it has the label too, and an image from elsewhere may have any.
  return images.find(({ ParentId }) => ParentId === image)?.Id;
}

/** What decides about what a line makes. */
function keyOf(image: string, { words, environment, passing, workingFolder, user }: RunAction): string {
  const variables = [...environment].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const all = [RULES, image, words, variables, passing, workingFolder, user ?? ''];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

async function create(
  container: Container,
  image: string,
  { words, environment, workingFolder, user, line }: RunAction,
  { daemon, limits, owner, volumes }: LineOptions,
): Promise<void> {
  const facts = await daemon.facts();
  const { HostConfig: host, ...settings } = hardenedBuild({
    user: user ?? '0:0',
    ...boundsOf(limits, facts),
    otherVariables: [],
    imageVolumes: volumes,
  });
  const [program = '', ...rest] = words;
  try {
    await container.create({
      ...settings,
      Image: image,
      Entrypoint: [program],
      Cmd: rest,
      WorkingDir: workingFolder,
      Env: [...environment].map(([name, value]) => `${name}=${value}`),
      Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot },
      HostConfig: { ...host, ...gpuRequest([], facts.gpus).host },
    });
  } catch (error) {
    if (isAnswer(error, 400)) throw daemonFailure(error.said, line, error);
    throw error;
  }
}

async function follow(container: Container, action: RunAction, options: LineOptions): Promise<RunResult> {
  const { daemon, limits, reconnectMs, signal, onOutput } = options;
  const run = { daemon, container, data: writtenBy(container, limits), reconnectMs };
  try {
    return await runContainer(
      { ...run, mounts: [], limits, gpus: [], program: action.words[0] ?? '' },
      { signal, onOutput },
    );
  } catch (error) {
    if (isAnswer(error, 400, 404, 500)) throw daemonFailure(error.said, action.line, error);
    throw error;
  }
}

/** What a line writes goes to the image: measured, and in the end left where it is. */
function writtenBy(container: Container, { diskBytes }: RunLimits): WatchedRun['data'] {
  let measuredAt = 0;
  let beyond = false;
  const measure = async () => {
    beyond = (await container.writtenBytes()) > diskBytes;
    measuredAt = performance.now();
    return beyond;
  };
  return {
    async *read() {},
    isBeyond: async () => (performance.now() - measuredAt < MEASURE_MS ? beyond : await measure()),
    collect: async () => !(await measure()),
  };
}

/**
 * The variables of the image: those of its lines, and not those of ARG lines. A name without a value keeps the
 * daemon from adding what the container had.
 */
function kept({ environment, passing }: RunAction): string[] {
  const stays = [...environment].filter(([name]) => !passing.includes(name));
  return [...stays.map(([name, value]) => `${name}=${value}`), ...passing];
}
