import { posix } from 'node:path';
import { buildFailure, shown } from '../failure.ts';
import type { CopyInstruction, Dockerfile, Instruction, Label } from '../syntax/instructions.ts';
import { splitAtBlanks, type Template } from '../syntax/template.ts';
import type { Action, CopyAction, Origin, RunAction } from './actions.ts';
import {
  checkedDestination,
  checkedUser,
  checkedVolume,
  checkedWorkingFolder,
  demandPort,
  demandSignal,
} from './declarations.ts';
import type { EntryPoint } from './entry-point.ts';
import type { WrittenLabel } from './runner-labels.ts';
import type { Stage } from './stages.ts';
import { Variables } from './variables.ts';

/** What an image says of itself, as far as it matters to what starts from it. */
export interface BaseConfig {
  readonly environment: ReadonlyMap<string, string>;
  readonly workingFolder: string | undefined;
  readonly user: string | undefined;
  readonly shell: readonly string[] | undefined;
  readonly entryPoint: readonly string[];
  readonly volumes: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
}

/** Of an image that has nothing in it. */
export const NOTHING: BaseConfig = {
  environment: new Map(),
  workingFolder: undefined,
  user: undefined,
  shell: undefined,
  entryPoint: [],
  volumes: [],
  labels: new Map(),
};
const SHELL = ['/bin/sh', '-c'];
/** What holds at a line of a stage. */
export class StageState {
  variables: Variables;
  workingFolder: string | undefined;
  user: string | undefined;
  shell: readonly string[];
  entryPoint: EntryPoint;
  command: Extract<Instruction, { kind: 'CMD' | 'RUN' | 'ENTRYPOINT' }> | undefined;
  /** By their paths, with the lines that declare them: none for those of the base image. */
  volumes: ReadonlyMap<string, number | undefined>;
  /** By their names. */
  labels: ReadonlyMap<string, WrittenLabel>;

  private constructor(of: Omit<StageState, 'ofNextStage'>) {
    this.variables = of.variables;
    this.workingFolder = of.workingFolder;
    this.user = of.user;
    this.shell = of.shell;
    this.entryPoint = of.entryPoint;
    this.command = of.command;
    this.volumes = of.volumes;
    this.labels = of.labels;
  }

  static of(base: BaseConfig): StageState {
    const { environment, workingFolder, user, shell, entryPoint, volumes, labels } = base;
    return new StageState({
      variables: new Variables(environment),
      workingFolder,
      user,
      shell: shell ?? SHELL,
      entryPoint: { form: 'exec', words: entryPoint, line: undefined },
      command: undefined,
      volumes: new Map(volumes.map((path) => [path, undefined])),
      labels: new Map([...labels].map(([name, value]) => [name, { value, line: undefined }])),
    });
  }

  /** What a stage that starts from this one begins with. */
  ofNextStage(): StageState {
    return new StageState({ ...this, variables: this.variables.ofNextStage() });
  }
}

/** Reads the lines of one stage into its state, and into what is to be done. Throws `build_failed` naming the line. */
export class StageReader {
  readonly #stage: Stage;
  readonly #state: StageState;
  readonly #globals: Variables;
  readonly #dockerfile: Dockerfile;
  readonly #actions: Action[] = [];

  constructor(stage: Stage, state: StageState, globals: Variables, dockerfile: Dockerfile) {
    this.#stage = stage;
    this.#state = state;
    this.#globals = globals;
    this.#dockerfile = dockerfile;
  }

  /** What is to be done for the stage, in order; its state is the one behind its last line then. */
  read(): readonly Action[] {
    for (const instruction of this.#stage.instructions) this.#read(instruction);
    return this.#actions;
  }

  #read(instruction: Instruction): void {
    const state = this.#state;
    const { line } = instruction;
    const origin = { line, text: this.#textOf(instruction) };
    switch (instruction.kind) {
      case 'ARG':
        for (const argument of instruction.names) this.#argument(argument, line);
        break;
      case 'ENV':
        this.#set(instruction.variables, line);
        break;
      case 'RUN':
        this.#actions.push({ ...origin, ...this.#run(instruction) });
        break;
      case 'COPY':
      case 'ADD':
        this.#actions.push({ ...origin, ...this.#copy(instruction) });
        break;
      case 'WORKDIR': {
        const path = checkedWorkingFolder(state.workingFolder, this.#expand(instruction.value, line), line);
        state.workingFolder = path;
        if (path !== '/') this.#actions.push({ ...origin, kind: 'folder', path });
        break;
      }
      case 'USER':
        state.user = checkedUser(this.#expand(instruction.value, line), line);
        break;
      case 'SHELL':
        state.shell = instruction.words;
        break;
      case 'ENTRYPOINT':
        state.entryPoint = { ...instruction.command, line };
        break;
      case 'CMD':
        state.command = instruction;
        break;
      case 'VOLUME':
        for (const value of instruction.values) this.#volume(value, line);
        break;
      case 'EXPOSE':
        for (const value of instruction.values)
          for (const port of splitAtBlanks(this.#expand(value, line))) demandPort(port, line);
        break;
      case 'STOPSIGNAL':
        demandSignal(this.#expand(instruction.value, line), line);
        break;
      case 'LABEL':
        this.#label(instruction.labels, line);
        break;
      // What they say has no meaning for a step.
      case 'MAINTAINER':
      case 'HEALTHCHECK':
        break;
      case 'FROM':
        throw new Error('A stage has no second FROM line.');
    }
  }

  #argument(argument: { readonly name: string; readonly value?: Template }, line: number): void {
    const value =
      argument.value === undefined ? this.#globals.get(argument.name) : this.#expand(argument.value, line);
    if (value !== undefined) this.#state.variables.set('ARG', argument.name, value, line);
  }

  /** All of a line are expanded with what was known before the line. */
  #set(assignments: readonly { readonly name: string; readonly value: Template }[], line: number): void {
    const values = assignments.map(({ name, value }) => [name, this.#expand(value, line)] as const);
    for (const [name, value] of values) this.#state.variables.set('ENV', name, value, line);
  }

  #label(labels: readonly Label[], line: number): void {
    const all = labels.map(
      ({ name, value }) => [this.#expand(name, line), { value: this.#expand(value, line), line }] as const,
    );
    this.#state.labels = new Map([...this.#state.labels, ...all]);
  }

  #run({
    command,
    line,
  }: Extract<Instruction, { kind: 'RUN' | 'ENTRYPOINT' | 'CMD' }>): Omit<RunAction, keyof Origin> {
    const { shell, variables, workingFolder, user } = this.#state;
    const words = command.form === 'exec' ? command.words : [...shell, command.text];
    if (words.length === 0 || words[0] === '')
      throw buildFailure('RUN names no program: complete it, or leave it out.', line);
    const { all, passing } = variables;
    return {
      kind: 'run',
      words,
      environment: all,
      passing,
      workingFolder: workingFolder ?? '/',
      user,
    };
  }

  #copy(instruction: CopyInstruction): Omit<CopyAction, keyof Origin> {
    const { kind: word, line, from } = instruction;
    const written = instruction.sources.map((source) => this.#expand(source, line));
    const sources = written.map((source) => readSource(source, line, word, from !== undefined));
    const target = this.#expand(instruction.destination, line);
    const intoFolder = /(^|\/)\.?$/.test(target);
    if (sources.length > 1 && !intoFolder)
      throw buildFailure(`${word} of several things needs a slash at its end: ${shown(target)}/.`, line);
    const chown = instruction.chown && this.#expand(instruction.chown, line);
    const chmod = instruction.chmod && this.#expand(instruction.chmod, line);
    return {
      kind: 'copy',
      word,
      from: this.#stage.sources.get(instruction),
      sources,
      destination: checkedDestination(this.#state.workingFolder, target, line),
      intoFolder,
      owner: chown && checkedUser(chown, line),
      mode: readMode(chmod, from, line),
    };
  }

  #volume(value: Template, line: number): void {
    const path = checkedVolume(this.#expand(value, line).trim(), line);
    this.#state.volumes = new Map([...this.#state.volumes, [path, line]]);
  }

  #expand(template: Template, line: number): string {
    return this.#state.variables.expand(template, line);
  }

  #textOf(instruction: Instruction): string {
    return this.#dockerfile.texts.get(instruction) ?? instruction.kind;
  }
}

/** A source of a COPY line as a path below the root of what it is copied from. */
function readSource(source: string, line: number, word: 'COPY' | 'ADD', isOfStage: boolean): string {
  if (/^[a-z][a-z0-9+.-]*:\/\/|^git@/i.test(source)) {
    throw buildFailure(
      `${word} ${shown(source)} would need the network: put the file into the archive.`,
      line,
    );
  }
  if (source === '') throw buildFailure(`${word} names no source: a variable in it may be empty.`, line);
  if (/\p{Cc}|\\/u.test(source))
    throw buildFailure(`${word} ${shown(source)} has a control character or a backslash in it.`, line);
  const path = posix.normalize(isOfStage ? `/${source}` : source).replace(/^\/+|\/+$/g, '');
  if (path === '..' || path.startsWith('../'))
    throw buildFailure(`${word} ${shown(source)} lies outside of the archive.`, line);
  return path === '' ? '.' : path;
}

function readMode(written: string | undefined, from: string | undefined, line: number): number | undefined {
  if (written === undefined) return undefined;
  if (!/^0?[0-7]{3}$/.test(written))
    throw buildFailure(`COPY --chmod=${shown(written)} is no mode: write three digits, such as 755.`, line);
  if (from !== undefined)
    throw buildFailure(
      'COPY --chmod is not supported together with --from: change the mode in a RUN line.',
      line,
    );
  return Number.parseInt(written, 8);
}
