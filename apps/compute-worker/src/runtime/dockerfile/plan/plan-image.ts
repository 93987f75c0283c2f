import { architectureOf } from '@morpheo/common';
import type { RunnerDeclaration } from '../../index.ts';
import { buildFailure } from '../failure.ts';
import type { Dockerfile } from '../syntax/instructions.ts';
import type { Action } from './actions.ts';
import { checkedEntryPoint, remarkOnCommand } from './entry-point.ts';
import { checkedRunner } from './runner-labels.ts';
import { type BaseConfig, NOTHING, StageReader, StageState } from './stage-reader.ts';
import { readStages, type Stage, type StageBase } from './stages.ts';
import { Variables } from './variables.ts';

/** A stage, evaluated. */
export interface StagePlan {
  readonly index: number;
  readonly base: StageBase;
  readonly line: number;
  /** Of its FROM line. */
  readonly text: string;
  readonly actions: readonly Action[];
}

/** All that a Dockerfile asks for, evaluated: no variables and no words of other instructions are left. */
export interface ImagePlan {
  /** Those that the image needs, in their order: the last is the image. */
  readonly stages: readonly StagePlan[];
  readonly config: ImageConfig;
  /** What is not heeded, a sentence each. */
  readonly remarks: readonly string[];
}

/** What an image says of itself. */
export interface ImageConfig {
  /** The program and its first arguments. */
  readonly entryPoint: readonly string[];
  /** Of the Dockerfile's ENTRYPOINT; undefined where its base image has that. */
  readonly entryPointLine: number | undefined;
  readonly environment: ReadonlyMap<string, string>;
  /** Absolute; undefined without a WORKDIR. */
  readonly workingFolder: string | undefined;
  readonly volumes: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
  /** What the labels declare. */
  readonly runner: RunnerDeclaration | undefined;
}

/** What {@link planImage} works with. */
export interface PlanOptions {
  /** What an image says of itself. May throw `build_failed`: where it is not there, or may not be used. */
  readonly baseConfig: (name: string, line: number) => Promise<BaseConfig>;
  /** What images run on, as its kernel calls it: such as `x86_64`. */
  readonly machine: string;
}

/** As with Docker, programs are found where they usually are. */
const SCRATCH: BaseConfig = {
  ...NOTHING,
  environment: new Map([['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']]),
};
/** Layers of an image have a bound in the kernel. */
const ACTIONS = 100;

/**
 * Evaluates a Dockerfile as Docker does: stages, variables, the working folder, the user and the shell of each line.
 * Throws `build_failed` naming the line for what cannot be built, or could be built and not be run.
 */
export async function planImage(dockerfile: Dockerfile, options: PlanOptions): Promise<ImagePlan> {
  const globals = new Variables([], platformOf(options.machine));
  const { needed, last } = readStages(dockerfile, globals);
  const states = new Map<number, StageState>();
  const stages: StagePlan[] = [];
  for (const stage of needed) {
    const state = await stateBefore(stage, states, options);
    const actions = new StageReader(stage, state, globals, dockerfile).read();
    const { index, base, from } = stage;
    stages.push({ index, base, line: from.line, text: dockerfile.texts.get(from) ?? from.kind, actions });
    states.set(stage.index, state);
  }
  const state = states.get(last.index) ?? StageState.of(NOTHING);
  const actions = stages.flatMap((stage) => stage.actions);
  const beyond = actions[ACTIONS];
  if (beyond !== undefined)
    throw buildFailure(`There are more than ${ACTIONS} RUN, COPY and WORKDIR lines.`, beyond.line);
  demandNothingOfEmptyStages(stages);
  const { words, line } = checkedEntryPoint(state.entryPoint, state.command);
  return {
    stages,
    config: {
      entryPoint: words,
      entryPointLine: line,
      environment: state.variables.environment,
      workingFolder: state.workingFolder,
      volumes: volumesOf(state, stages),
      labels: new Map([...state.labels].map(([name, { value }]) => [name, value])),
      runner: checkedRunner(state.labels),
    },
    remarks: [...dockerfile.remarks, ...remarkOnCommand(state.command)],
  };
}

/** What `ARG TARGETARCH` and the like are, before any line is read. */
function platformOf(machine: string): [string, string][] {
  const architecture = architectureOf(machine) ?? machine;
  return ['BUILD', 'TARGET'].flatMap((which): [string, string][] => [
    [`${which}PLATFORM`, `linux/${architecture}`],
    [`${which}OS`, 'linux'],
    [`${which}ARCH`, architecture],
    [`${which}VARIANT`, ''],
  ]);
}

async function stateBefore(
  { base, from }: Stage,
  states: ReadonlyMap<number, StageState>,
  { baseConfig }: PlanOptions,
): Promise<StageState> {
  if (base.kind === 'stage') return (states.get(base.index) ?? StageState.of(NOTHING)).ofNextStage();
  return StageState.of(base.kind === 'image' ? await baseConfig(base.name, from.line) : SCRATCH);
}

/** Refuses RUN where the image has nothing in it yet, and COPY from a stage that stays so. */
function demandNothingOfEmptyStages(stages: readonly StagePlan[]): void {
  const empty = new Set<number>();
  for (const { index, base, actions } of stages) {
    const beginsEmpty = base.kind === 'scratch' || (base.kind === 'stage' && empty.has(base.index));
    const [first] = actions;
    if (beginsEmpty && first === undefined) empty.add(index);
    if (beginsEmpty && first?.kind === 'run')
      throw buildFailure('RUN needs a program, and the image has nothing in it yet.', first.line);
    for (const action of actions)
      if (action.kind === 'copy' && action.from?.kind === 'stage' && empty.has(action.from.index))
        throw buildFailure('COPY --from names a stage that has nothing in it.', action.line);
  }
}

/**
 * Volumes as the image gets them. They are memory, and hide what the image has there: where the Dockerfile itself puts
 * files, these stay instead.
 */
function volumesOf({ volumes }: StageState, stages: readonly StagePlan[]): readonly string[] {
  const copies = stages.flatMap(({ actions }) => actions.filter((action) => action.kind === 'copy'));
  return [...volumes].flatMap(([path, line]) => {
    const copy = copies.find(({ destination }) => `${destination}/`.startsWith(`${path}/`));
    if (copy === undefined) return [path];
    if (line !== undefined) return [];
    const why = `its base image declares ${path} as a volume, which hides what is copied there`;
    throw buildFailure(`COPY to ${copy.destination}: ${why}. Copy it elsewhere.`, copy.line);
  });
}
