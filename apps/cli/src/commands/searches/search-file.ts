import { randomUUID } from 'node:crypto';
import { issueMessage, type Search, search as searchSchema } from '@morpheo/common';
import { type Genome, population } from '@morpheo/search';
import type { Context } from '../../context.ts';
import { usageError } from '../../exit-codes.ts';
import { resolveResource } from '../../platform/ids.ts';
import { readNamedFile } from '../arguments.ts';

/** What a command says of a search in place of its file. */
export interface SearchOptions {
  readonly algo?: string;
  readonly name?: string;
  readonly seed?: number;
  readonly trials?: number;
  readonly parallel?: number;
  readonly control?: boolean;
  readonly population?: string;
}

/** The search that a file describes, with what the command says otherwise. Throws a usage error where it is none. */
export async function searchFrom(context: Context, file: string, options: SearchOptions): Promise<Search> {
  const { name, seed, trials, parallel, control, population } = options;
  const read = await readObject(file);
  const start = population === undefined ? undefined : await startFrom(population, read.space);
  const algo = options.algo === undefined ? undefined : await resolveResource(context, 'algo', options.algo);
  const program = read.learn === undefined ? 'job' : 'learn';
  const given = { name, seed, parallel, control, start };
  const parsed = searchSchema.safeParse({
    ...{ uuid: randomUUID(), seed: 0, parallel: 1, ...read },
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(trials === undefined ? {} : { budget: { ...membersOf(read.budget), trials } }),
    ...(algo === undefined ? {} : { [program]: { ...membersOf(read[program]), algo } }),
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.map(String).join('.') ?? '';
    throw usageError(`${file} is no search: ${where}: ${issue === undefined ? '' : issueMessage(issue)}`);
  }
  if (algo === undefined && namesNothing(read[program]))
    throw usageError(`${file} does not say what its ${program} runs.`, 'Give --algo <id>.');
  return parsed.data;
}

/** True of a job, or a training, that does not say what it runs. */
function namesNothing(program: unknown): boolean {
  const { algo, image, sheep } = membersOf(program);
  return (algo ?? image ?? sheep) === undefined;
}

async function startFrom(file: string, space: unknown): Promise<Record<string, unknown>[]> {
  const name = networkIn(space);
  if (name === undefined)
    throw usageError(
      `${file} has networks, and the space of the search has none.`,
      'Leave --population out.',
    );
  return (await networksOf(file)).map((network) => ({ [name]: network }));
}

/** The networks of a population as dicebox writes it. Throws a usage error where the file has none. */
export async function networksOf(file: string): Promise<Genome[]> {
  const read = population.safeParse(await readObject(file));
  if (read.success) return read.data.population.map(({ genome }) => genome);
  const [issue] = read.error.issues;
  throw usageError(`${file} is no population: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** The parameter of a space that is a network. */
export function networkIn(space: unknown): string | undefined {
  return Object.entries(membersOf(space)).find(
    ([, parameter]) => membersOf(parameter).kind === 'network',
  )?.[0];
}

/** The object that a file holds as JSON; an empty one where it holds something else. Throws a usage error where it is no JSON. */
async function readObject(file: string): Promise<Record<string, unknown>> {
  let read: unknown;
  try {
    read = JSON.parse((await readNamedFile(file)).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw usageError(`${file} is no JSON: ${error.message}`);
    throw error;
  }
  return membersOf(read);
}

/** The members of an object; none of what is no object. */
function membersOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
