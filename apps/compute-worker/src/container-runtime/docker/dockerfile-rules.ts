import { type Dockerfile, type Instruction, ModifiableInstruction } from 'dockerfile-ast';
import { shownPath } from '../../tree-limits.ts';
import { buildFailure } from '../dockerfile/build-failure.ts';
import { readEntryPoint } from '../dockerfile/entry-point.ts';
import { parseDockerfile } from '../dockerfile/read-dockerfile.ts';
import { IMAGES } from './labels.ts';

/** What of a Dockerfile is to be known beside what the daemon finds out itself. */
export interface DockerfileFacts {
  /** The images that it starts from or copies from, other than its own stages. */
  readonly bases: readonly Base[];
}

/** An image that a Dockerfile needs. */
export interface Base {
  readonly name: string;
  /** From 1. */
  readonly line: number;
}

/** Looser than Docker's own: it keeps out whatever would be more than a name in an address of its API. */
const REFERENCE = /^[A-Za-z0-9][\w.:@-]*(?:\/[A-Za-z0-9][\w.:@-]*)*$/;
const LONGEST = 500;

/**
 * Reads a Dockerfile that a daemon is to build, and refuses what a build must not do: fetch an address (the daemon
 * does that itself, whatever network the build has), or start or copy from what was built for somebody else. Throws
 * `build_failed` naming the line.
 */
export function readRules(text: string): DockerfileFacts {
  const dockerfile = parseDockerfile(text);
  const stages = dockerfile.getFROMs();
  const first = stages[0];
  if (first === undefined) {
    throw buildFailure('The Dockerfile has no FROM line: it must name the image to start from.');
  }
  const names = new Set<string>(['scratch']);
  const bases: Base[] = [];
  const need = (name: string | undefined, line: number) => {
    if (name === undefined || names.has(name.toLowerCase())) return;
    bases.push({ name: checkedBase(name, line), line });
  };
  for (const instruction of dockerfile.getInstructions()) {
    const line = lineOf(instruction);
    const stage = stages.find((from) => lineOf(from) === line);
    if (stage !== undefined) {
      need(expanded(stage.getImage() ?? '', dockerfile, line), line);
      const own = stage.getBuildStage();
      if (own !== null) names.add(own.toLowerCase());
    }
    if (['COPY', 'ADD'].includes(instruction.getKeyword())) need(copiedFrom(instruction), line);
    if (instruction.getKeyword() === 'ADD') demandNoAddress(instruction, line);
  }
  demandExecForm(dockerfile, stages.at(-1) ?? first);
  return { bases };
}

/** Of `COPY --from`; undefined where it is a stage by its number, or the build context. */
function copiedFrom(instruction: Instruction): string | undefined {
  if (!(instruction instanceof ModifiableInstruction)) return undefined;
  const from = instruction
    .getFlags()
    .find((flag) => flag.getName().toLowerCase() === 'from')
    ?.getValue();
  return from === undefined || from === null || /^\d{1,3}$/.test(from) ? undefined : from;
}

function checkedBase(name: string, line: number): string {
  if (name.length > LONGEST || !REFERENCE.test(name)) {
    throw buildFailure(`${shownPath(name)} is no name of an image, such as debian:bookworm-slim.`, line);
  }
  const plain = name.replace(/^(docker\.io|index\.docker\.io)\//, '');
  if (plain.startsWith(`${IMAGES}/`)) {
    throw buildFailure(
      `${name} was built for another archive: start from an image that is there for all.`,
      line,
    );
  }
  if (/^(sha256:)?[0-9a-f]+$/i.test(plain)) {
    throw buildFailure(`${name} is the id of an image: name it, as in debian:bookworm-slim.`, line);
  }
  return name;
}

/** The name of a FROM line, with the defaults of the ARG lines before it. */
function expanded(name: string, dockerfile: Dockerfile, line: number): string {
  const values = new Map<string, string>();
  for (const arg of dockerfile.getInitialARGs()) {
    const property = arg.getProperty();
    if (property !== null) values.set(property.getName(), property.getValue() ?? '');
  }
  return name.replaceAll(/\$(?:\{(?<braced>[^}]*)\}|(?<bare>\w+))/g, (_reference, ...rest) => {
    const { braced, bare } = rest.at(-1) as { braced?: string; bare?: string };
    const value = values.get(braced ?? bare ?? '');
    if (value === undefined || value.includes('$')) {
      throw buildFailure(`FROM ${name} needs an ARG line before it with a plain default.`, line);
    }
    return value;
  });
}

function demandNoAddress(instruction: Instruction, line: number): void {
  const sources = instruction.getArguments().map((argument) => argument.getValue().replace(/^\[?\s*"?/, ''));
  const address = sources.find((source) => /^([a-z][a-z+.-]*:\/\/|git@|\$)/i.test(source));
  if (address === undefined) return;
  throw buildFailure(`ADD ${address} would need the network: put the file into the archive.`, line);
}

function demandExecForm(dockerfile: Dockerfile, last: Instruction): void {
  const entryPoint = dockerfile
    .getInstructions()
    .findLast((one) => one.getKeyword() === 'ENTRYPOINT' && lineOf(one) > lineOf(last));
  if (entryPoint === undefined) return;
  readEntryPoint(entryPoint, dockerfile.getEscapeCharacter(), lineOf(entryPoint));
}

function lineOf(instruction: Instruction): number {
  return instruction.getRange().start.line + 1;
}
