import { OrderFailure, withTimeout } from '@morpheo/common';
import { z } from 'zod';
import { formatBytes, formatDuration } from '../../../steps/format.ts';
import { shown } from '../../dockerfile/failure.ts';
import type { Action, RunAction } from '../../dockerfile/plan/actions.ts';
import { type ImagePlan, planImage, type StagePlan } from '../../dockerfile/plan/plan-image.ts';
import { MAX_BATCH_LABEL, RUNNER_LABEL } from '../../dockerfile/plan/runner-labels.ts';
import type { CopySource } from '../../dockerfile/plan/stages.ts';
import { parseDockerfile } from '../../dockerfile/syntax/parse.ts';
import { readDockerfileText } from '../../dockerfile/text.ts';
import type { WrittenStep } from '../../dockerfile/write.ts';
import type { BuildContext, PrepareOptions, RunLimits } from '../../index.ts';
import type { Daemon } from '../client/daemon.ts';
import { imageName, LABELS } from '../labels.ts';
import { BaseImages } from './bases.ts';
import { type LineOptions, runLine } from './run-line.ts';
import { asFolder, buildSegment, type ContextCopy, contextCopy, type SegmentBuild } from './segment.ts';

/** The bounds of one build. */
export type BuildLimits = Omit<RunLimits, 'diskFiles'>;

/** What builds are done with, whatever is built. */
export interface BuildOptions extends Pick<LineOptions, 'owner' | 'keepAlive' | 'reconnectMs' | 'hasRoom'> {
  readonly limits: BuildLimits;
}

/**
 * Builds the image of a context in the daemon, and names it by the context's digest once it is whole. The Dockerfile
 * is read, evaluated and written anew: the daemon's own builder makes folders and copies files, and each RUN line
 * runs in a container that is held back as a step is (see `runLine`). Neither has a network, and a `.dockerignore` is
 * not heeded: the archive holds what its maker packed. Whatever happens, no container of the build is left: an abort
 * ends it as well.
 *
 * Throws `OrderFailure` where the context is at fault, or too slow, or starts from an image that is not there; what
 * the daemon itself could not do is `unavailable` or `disk_full`.
 */
export async function buildImage(
  daemon: Daemon,
  context: BuildContext,
  build: BuildOptions,
  options: PrepareOptions,
): Promise<void> {
  const dockerfile = parseDockerfile(await readDockerfileText(context.folder));
  const { wallMs } = build.limits;
  await withTimeout(
    wallMs,
    options.signal,
    () => tooLong(wallMs),
    async (signal) => {
      const bases = new BaseImages(daemon, signal);
      const { machine } = await daemon.facts();
      const baseConfig = async (name: string, line: number) => (await bases.find(name, line)).config;
      const plan = await planImage(dockerfile, { baseConfig, machine });
      await new ImageBuild({ daemon, context, build, plan, bases, options: { ...options, signal } }).run();
    },
  );
}

interface ImageBuildParts {
  readonly daemon: Daemon;
  readonly context: BuildContext;
  readonly build: BuildOptions;
  readonly plan: ImagePlan;
  readonly bases: BaseImages;
  readonly options: PrepareOptions;
}

/** Steps that wait for the daemon's builder. */
class Pending {
  steps: WrittenStep[] = [];
  copies: ContextCopy[] = [];
  lines: number[] = [];
}

/** What a stage grows from. */
interface Root {
  /** The id of an image, or `scratch`. */
  readonly image: string;
  /** In bytes, of the image that is not the archive's doing. */
  readonly size: number;
  /** Folders that it declares as volumes. */
  readonly volumes: readonly string[];
}

const sized = z.object({ Size: z.number() });

/** One image on its way, stage by stage. */
class ImageBuild {
  readonly #parts: ImageBuildParts;
  /** What starts from the stages so far, by the index of the stage. */
  readonly #stages = new Map<number, Root>();
  readonly #stepsInAll: number;
  #step = 0;
  #printedBytes = 0;

  constructor(parts: ImageBuildParts) {
    this.#parts = parts;
    this.#stepsInAll = parts.plan.stages.reduce((sum, { actions }) => sum + 1 + actions.length, 0);
  }

  async run(): Promise<void> {
    const { plan } = this.#parts;
    for (const remark of plan.remarks) await this.#print(`${remark}\n`);
    for (const stage of plan.stages) await this.#build(stage, stage === plan.stages.at(-1));
  }

  async #build(stage: StagePlan, isLast: boolean): Promise<void> {
    await this.#begin(stage);
    const root = await this.#rootOf(stage);
    const pending = new Pending();
    let { image } = root;
    for (const action of stage.actions) {
      await this.#begin(action);
      if (action.kind === 'run') {
        image = await this.#flush(image, pending, stage.line);
        image = await this.#runLine(image, action, root);
      } else await this.#add(action, pending);
      // What comes out of other images may be much: it is measured before there is more of it.
      const isMuch = action.kind === 'run' || (action.kind === 'copy' && action.from !== undefined);
      if (isMuch) {
        image = await this.#flush(image, pending, stage.line);
        await this.#demandSize(image, root, action.line);
      }
    }
    if (isLast) await this.#finish(image, pending, { root, line: stage.line });
    else this.#stages.set(stage.index, { ...root, image: await this.#flush(image, pending, stage.line) });
  }

  async #rootOf({ base, line }: StagePlan): Promise<Root> {
    if (base.kind === 'scratch') return { image: 'scratch', size: 0, volumes: [] };
    if (base.kind === 'stage') return this.#stageOf(base.index);
    const { id, size, config } = await this.#parts.bases.find(base.name, line);
    return { image: id, size, volumes: config.volumes };
  }

  #stageOf(index: number): Root {
    const root = this.#stages.get(index);
    if (root === undefined) throw new Error(`The stage ${index} is not built yet.`);
    return root;
  }

  async #add(action: Exclude<Action, RunAction>, pending: Pending): Promise<void> {
    const { line } = action;
    if (action.kind === 'folder') pending.steps.push({ kind: 'folder', path: action.path });
    else if (action.from === undefined) {
      const { step, copy } = await contextCopy(this.#parts.context.folder, action, pending.copies.length);
      pending.copies.push(copy);
      pending.steps.push(step);
    } else {
      const { sources, destination, intoFolder, owner } = action;
      pending.steps.push({
        kind: 'copy',
        from: await this.#sourceOf(action.from, line),
        sources: sources.map((source) => `/${source === '.' ? '' : source}`),
        destination: intoFolder ? asFolder(destination) : destination,
        owner,
      });
    }
    pending.lines.push(line);
  }

  async #sourceOf(from: CopySource, line: number): Promise<string> {
    if (from.kind === 'image') return (await this.#parts.bases.find(from.name, line)).id;
    return this.#stageOf(from.index).image;
  }

  /** Has the daemon's builder carry out what waits for it; returns the id of the image. */
  async #flush(image: string, pending: Pending, line: number): Promise<string> {
    if (pending.steps.length === 0) return image;
    return await this.#segment(image, pending, line, { name: undefined, config: undefined, labels: {} });
  }

  async #segment(
    base: string,
    pending: Pending,
    line: number,
    { name, config, labels }: Pick<SegmentBuild, 'name' | 'config' | 'labels'>,
  ): Promise<string> {
    const { daemon, context, options } = this.#parts;
    const { steps, copies, lines } = pending;
    const segment = {
      ...{ base, steps, copies, name, config },
      lines: [line, ...lines],
      labels: { [LABELS.context]: context.digest, ...labels },
    };
    const id = await buildSegment(daemon, segment, options.signal);
    Object.assign(pending, new Pending());
    return id;
  }

  async #finish(
    image: string,
    pending: Pending,
    { root, line }: { root: Root; line: number },
  ): Promise<void> {
    const { daemon, plan, context } = this.#parts;
    const { entryPoint, environment, workingFolder, volumes, runner } = plan.config;
    const name = imageName(context.digest);
    const declared = runner && {
      [RUNNER_LABEL]: plan.config.labels.get(RUNNER_LABEL) ?? '',
      [MAX_BATCH_LABEL]: String(runner.maxBatch),
    };
    const labels = { [LABELS.volumes]: JSON.stringify(volumes), ...declared };
    const config = { entryPoint, environment, workingFolder };
    const id = await this.#segment(image, pending, line, { name, config, labels });
    try {
      await this.#demandSize(id, root, line);
    } catch (error) {
      await daemon.removeImage(name);
      throw error;
    }
  }

  async #runLine(image: string, action: RunAction, { volumes }: Root): Promise<string> {
    const { daemon, build, context, options } = this.#parts;
    const { limits, ...others } = build;
    const outputBytes = Math.max(0, limits.outputBytes - this.#printedBytes);
    const unbounded = { wallMs: Number.POSITIVE_INFINITY, diskFiles: Number.POSITIVE_INFINITY };
    return await runLine(image, action, {
      ...{ daemon, volumes, digest: context.digest, signal: options.signal },
      ...others,
      limits: { ...limits, ...unbounded, outputBytes },
      buildOutputBytes: limits.outputBytes,
      onOutput: async (chunk) => {
        this.#printedBytes += chunk.bytes.byteLength;
        await options.onOutput(chunk);
      },
    });
  }

  async #demandSize(image: string, { size }: Root, line: number): Promise<void> {
    const { daemon, build, options } = this.#parts;
    if (image === 'scratch') return;
    const { Size } = sized.parse(await daemon.inspectImage(image, { signal: options.signal }));
    if (Size - size <= build.limits.diskBytes) return;
    const limit = formatBytes(build.limits.diskBytes);
    const message = `Dockerfile, line ${line}: the image has grown by more than ${limit}.`;
    throw new OrderFailure('image_too_large', { message, limit, step: 'build', file: 'Dockerfile' });
  }

  /** Tells that a line is carried out now. */
  async #begin({ text }: { readonly text: string }): Promise<void> {
    this.#step += 1;
    await this.#print(`Step ${this.#step}/${this.#stepsInAll} : ${shown(text, LONGEST_TEXT)}\n`);
  }

  async #print(text: string): Promise<void> {
    await this.#parts.options.onOutput({ stream: 'stdout', bytes: Buffer.from(text) });
  }
}

/** Of a line of a Dockerfile in the log. */
const LONGEST_TEXT = 1000;

function tooLong(wallMs: number): OrderFailure {
  const limit = formatDuration(wallMs);
  const message = `The image was not built within ${limit}.`;
  return new OrderFailure('build_too_slow', { message, limit, step: 'build' });
}
