import { machine } from 'node:os';
import { buildFailure } from '../dockerfile/failure.ts';
import type { CopyAction } from '../dockerfile/plan/actions.ts';
import { planImage, type StagePlan } from '../dockerfile/plan/plan-image.ts';
import { type BaseConfig, NOTHING } from '../dockerfile/plan/stage-reader.ts';
import { parseDockerfile } from '../dockerfile/syntax/parse.ts';
import type { RunnerDeclaration } from '../index.ts';

/** What a Dockerfile asks for, as far as it can be had without building an image. */
export interface Recipe {
  /** The program and its first arguments. */
  readonly entryPoint: readonly string[];
  /** Absolute path inside the container; undefined without a WORKDIR. */
  readonly workingFolder: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  /** Those from the build context, of the last stage and of the stages of the same file that it starts from. */
  readonly copies: readonly CopyAction[];
  /** What its labels declare of a runner. */
  readonly runner: RunnerDeclaration | undefined;
  /** What is not done, a sentence each. */
  readonly remarks: readonly string[];
}

const COPIES = 50;
/** Of an image that is not there nothing is known: of its PATH it is known that there is one. */
const UNKNOWN: BaseConfig = { ...NOTHING, environment: new Map([['PATH', '$PATH']]) };

/**
 * Reads a Dockerfile for a run without an image: what is understood is the same as where an image is built. RUN, USER
 * and the base image have no effect and are remarked upon; what cannot be had throws `build_failed` naming the line.
 */
export async function readRecipe(text: string): Promise<Recipe> {
  const dockerfile = parseDockerfile(text);
  const remarks: string[] = [];
  const baseConfig = async (name: string, line: number) => {
    remarks.push(remark(line, `${name} is not used: the programs of this machine run`));
    return UNKNOWN;
  };
  const plan = await planImage(dockerfile, { baseConfig, machine: machine() });
  const chain = chainOf(plan.stages);
  const actions = chain.flatMap((stage) => stage.actions);
  for (const { kind, line } of actions)
    if (kind === 'run')
      remarks.push(
        remark(line, 'RUN is not executed: what it would install must be on this machine already'),
      );
  for (const { kind, line } of dockerfile.instructions)
    if (kind === 'USER')
      remarks.push(remark(line, 'USER has no effect: the code runs as the user of the worker'));
  const entryLine = dockerfile.instructions.findLast(({ kind }) => kind === 'ENTRYPOINT')?.line;
  if (entryLine !== undefined && hasPathInCommand(plan.config.entryPoint))
    remarks.push(
      remark(
        entryLine,
        'paths inside the text of a command are not replaced: start the program itself, or write paths relative to WORKDIR',
      ),
    );
  const copies = actions.filter((action) => action.kind === 'copy');
  for (const copy of copies) demandOfContext(copy);
  const beyond = copies[COPIES];
  if (beyond !== undefined) throw buildFailure(`There are more than ${COPIES} COPY lines.`, beyond.line);
  const environment = [...plan.config.environment].filter(
    ([name, value]) => name !== 'PATH' || value !== '$PATH',
  );
  return {
    entryPoint: plan.config.entryPoint,
    workingFolder: plan.config.workingFolder,
    environment: Object.fromEntries(environment),
    copies,
    runner: plan.config.runner,
    remarks: [...remarks, ...plan.remarks].toSorted(byLine),
  };
}

/** Whether a shell is given a text that names a path of the image, such as `sh -c 'cd /app && ./main'`. */
function hasPathInCommand(words: readonly string[]): boolean {
  const flag = words.findIndex((word) => /^-[a-z]*c$/.test(word));
  const isShell = /(^|\/)(ba|da|a|z|k)?sh$/.test(words[0] ?? '');
  return isShell && flag > 0 && /(^|[\s"'`=;&|(])\/[\w.]/.test(words[flag + 1] ?? '');
}

/** The last stage, and before it the stages of the same file that it starts from. */
function chainOf(stages: readonly StagePlan[]): readonly StagePlan[] {
  const chain: StagePlan[] = [];
  for (let stage = stages.at(-1); stage !== undefined; ) {
    chain.unshift(stage);
    const { base }: StagePlan = stage;
    stage = base.kind === 'stage' ? stages.find(({ index }) => index === base.index) : undefined;
  }
  return chain;
}

function demandOfContext({ from, line, word }: CopyAction): void {
  if (from !== undefined)
    throw buildFailure(`${word} --from cannot be done without building an image.`, line);
}

function remark(line: number, text: string): string {
  return `Dockerfile, line ${line}: ${text}.`;
}

function byLine(a: string, b: string): number {
  const [lineA = 0, lineB = 0] = [a, b].map((text) => Number(/line (\d+)/.exec(text)?.[1]));
  return lineA - lineB;
}
