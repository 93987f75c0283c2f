import { stat } from 'node:fs/promises';
import { type BucketPlace, type JobInput, MOST_IN_JOB, RESOURCE_TYPES } from '@morpheo/common';
import type { Context } from '../../context.ts';
import { usageError } from '../../exit-codes.ts';
import { resolveResource } from '../../platform/ids.ts';
import { readNamedFile, throwUnreadable } from '../arguments.ts';
import { uploadOne } from '../upload.ts';

/** An input as the command line names it: where the job finds it, and what it is. */
interface Named {
  readonly path: string;
  readonly source: string;
  readonly unpack: boolean;
}

/** What `--input` takes, for help and errors. */
export const INPUT_FORMS = `<path>=@<file>, <path>=<type>:<uuid> (of ${RESOURCE_TYPES.join(', ')}) or <path>=bucket:<connection>/<prefix>`;

/**
 * The inputs of a job, as `--input` and `--unpack` name them. Files stand in the order, as many as it has room for from the
 * first on; others are uploaded as data. Throws a `CliError` for what names nothing.
 */
export async function readInputs(
  context: Context,
  { input = [], unpack = [] }: { readonly input?: readonly string[]; readonly unpack?: readonly string[] },
): Promise<JobInput[]> {
  const named = [
    ...input.map((text) => readNamed(text, '--input', false)),
    ...unpack.map((text) => readNamed(text, '--unpack', true)),
  ];
  const inputs: JobInput[] = [];
  let room: number = MOST_IN_JOB.inlineBytes;
  for (const one of named) {
    const file = one.source.startsWith('@') ? one.source.slice(1) : undefined;
    const size = file === undefined ? undefined : await sizeOf(file);
    const isInline = size !== undefined && size <= room;
    if (isInline) room -= size;
    inputs.push({
      path: one.path,
      ...(file === undefined ? await placeOf(context, one) : await bytesOf(context, file, isInline)),
      ...(one.unpack ? { unpack: true } : {}),
    });
  }
  return inputs;
}

function readNamed(text: string, option: string, unpack: boolean): Named {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return { path: text.slice(0, at), source: text.slice(at + 1), unpack };
  throw usageError(`${option} ${text} does not say what stands where.`, `Give ${INPUT_FORMS}.`);
}

async function bytesOf(
  context: Context,
  file: string,
  isInline: boolean,
): Promise<Pick<JobInput, 'inline' | 'resource'>> {
  if (isInline) return { inline: (await readNamedFile(file)).toString('base64') };
  const { uuid } = await uploadOne(context, 'data', file, {});
  return { resource: { type: 'data', uuid } };
}

async function sizeOf(file: string): Promise<number> {
  const stats = await stat(file).catch((error: unknown) => throwUnreadable(file, error));
  if (stats.isFile()) return stats.size;
  throw usageError(`${file} is no file.`, 'Pack a folder with tar -cf, and name the archive with --unpack.');
}

async function placeOf(
  context: Context,
  { path, source }: Named,
): Promise<Pick<JobInput, 'resource' | 'bucket'>> {
  const [kind = '', ...rest] = source.split(':');
  const what = rest.join(':');
  if (kind === 'bucket') return { bucket: readBucket(what) };
  const type = RESOURCE_TYPES.find((known) => known === kind);
  if (type === undefined || what === '')
    throw usageError(`The input ${path}=${source} names nothing that there is.`, `Give ${INPUT_FORMS}.`);
  return { resource: { type, uuid: await resolveResource(context, type, what) } };
}

/** A prefix of a bucket as the command line names it, `<connection>/<prefix>`. */
export function readBucket(text: string): BucketPlace {
  const at = text.indexOf('/');
  return at === -1
    ? { connection: text, prefix: '' }
    : { connection: text.slice(0, at), prefix: text.slice(at + 1) };
}
