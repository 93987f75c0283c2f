import { buildFailure, shown } from '../failure.ts';
import type { CopyInstruction, Dockerfile, FromInstruction, Instruction } from '../syntax/instructions.ts';
import { demandImageName } from './image-names.ts';
import type { Variables } from './variables.ts';

/** What a stage starts from: an image, an earlier stage of the same Dockerfile by its index, or nothing at all. */
export type StageBase =
  | { readonly kind: 'image'; readonly name: string }
  | { readonly kind: 'stage'; readonly index: number }
  | { readonly kind: 'scratch' };

/** Where a COPY line with `--from` copies from. */
export type CopySource =
  | { readonly kind: 'image'; readonly name: string }
  | { readonly kind: 'stage'; readonly index: number };

/** A stage of a Dockerfile. */
export interface Stage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly base: StageBase;
  /** What follows its FROM line. */
  readonly instructions: readonly Instruction[];
  /** Where its COPY lines with `--from` copy from. */
  readonly sources: ReadonlyMap<CopyInstruction, CopySource>;
}

/** The stages that the last one needs, itself too, and the ARG lines before the first of them. */
export interface Stages {
  /** In the order of the Dockerfile. */
  readonly needed: readonly Stage[];
  readonly last: Stage;
  readonly globals: Variables;
}

/** What the last stage of a Dockerfile depends on. Throws `build_failed` naming the line. */
export function readStages({ instructions }: Dockerfile, globals: Variables): Stages {
  const start = instructions.findIndex(({ kind }) => kind === 'FROM');
  if (start < 0) throw buildFailure('The Dockerfile has no FROM line: it must name the image to start from.');
  for (const instruction of instructions.slice(0, start)) readGlobal(instruction, globals);
  const stages: Stage[] = [];
  const written = parts(instructions.slice(start));
  const names = namesOf(written);
  for (const part of written) stages.push(readStage(part, { earlier: stages, names, globals }));
  const last = stages.at(-1);
  if (last === undefined) throw new Error('A Dockerfile with a FROM line has a stage.');
  const wanted = new Set([last.index]);
  for (const stage of stages.toReversed())
    if (wanted.has(stage.index)) for (const index of needs(stage)) wanted.add(index);
  return { needed: stages.filter(({ index }) => wanted.has(index)), last, globals };
}

interface Part {
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

function parts(instructions: readonly Instruction[]): readonly Part[] {
  const found: { from: FromInstruction; instructions: Instruction[] }[] = [];
  for (const instruction of instructions) {
    if (instruction.kind === 'FROM') found.push({ from: instruction, instructions: [] });
    else found.at(-1)?.instructions.push(instruction);
  }
  return found;
}

function readGlobal(instruction: Instruction, globals: Variables): void {
  if (instruction.kind !== 'ARG')
    throw buildFailure(`${instruction.kind} stands before the first FROM: only ARG may.`, instruction.line);
  for (const argument of instruction.names)
    if ('value' in argument)
      globals.set('ARG', argument.name, globals.expand(argument.value, instruction.line), instruction.line);
}

/** The names of all stages. Two of one name are refused: which of them COPY --from means, readers do not agree on. */
function namesOf(written: readonly Part[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { from } of written) {
    if (from.stage === undefined) continue;
    if (names.has(from.stage))
      throw buildFailure(`Two stages have the name ${from.stage}: give this one another.`, from.line);
    names.add(from.stage);
  }
  return names;
}

/** What the lines of a stage may name. */
interface Known {
  readonly earlier: readonly Stage[];
  /** Of all stages, later ones too; in lower case. */
  readonly names: ReadonlySet<string>;
  readonly globals: Variables;
}

function readStage({ from, instructions }: Part, known: Known): Stage {
  const sources = new Map<CopyInstruction, CopySource>();
  for (const instruction of instructions) {
    if ((instruction.kind !== 'COPY' && instruction.kind !== 'ADD') || instruction.from === undefined)
      continue;
    sources.set(instruction, copySource(instruction.from, instruction.line, known));
  }
  return { index: known.earlier.length, from, base: baseOf(from, known), instructions, sources };
}

function stageOf(name: string, { earlier }: Known): Stage | undefined {
  return earlier.find((stage) => stage.from.stage === name.toLowerCase());
}

function baseOf({ image, line }: FromInstruction, known: Known): StageBase {
  const { globals } = known;
  const name = globals.expand(image, line);
  if (name === '')
    throw buildFailure(
      'FROM names no image: an ARG line before it needs a default, as in ARG BASE=debian:bookworm-slim.',
      line,
    );
  const stage = stageOf(name, known);
  if (stage !== undefined) return { kind: 'stage', index: stage.index };
  if (name === 'scratch') return { kind: 'scratch' };
  demandImageName(name, line);
  return { kind: 'image', name };
}

function copySource(from: string, line: number, known: Known): CopySource {
  const stage = /^\d{1,3}$/.test(from) ? known.earlier[Number(from)] : stageOf(from, known);
  if (stage !== undefined) return { kind: 'stage', index: stage.index };
  if (/^\d{1,3}$/.test(from))
    throw buildFailure(`COPY --from=${from}: there is no stage ${from} above.`, line);
  if (known.names.has(from.toLowerCase()))
    throw buildFailure(`COPY --from=${from} stands before the end of that stage: name an earlier one.`, line);
  if (from.toLowerCase() === 'scratch' || from.toLowerCase() === 'context')
    throw buildFailure(`COPY --from=${shown(from)} names neither a stage nor an image.`, line);
  demandImageName(from, line);
  return { kind: 'image', name: from };
}

function needs({ base, sources }: Stage): number[] {
  return [base, ...sources.values()].flatMap((source) => (source.kind === 'stage' ? [source.index] : []));
}
