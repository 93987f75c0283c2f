import { mkdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callPath, type End, errnoOf, type JobInput, OrderFailure } from '@morpheo/common';
import { throwIfDiskFull } from '@morpheo/service/archive';
import { livingTree } from '../files/living-tree.ts';
import type { Gathered } from '../inputs/gather.ts';
import { type InputPlacer, placeInput } from '../inputs/job-inputs.ts';
import { type LivingOutputOptions, livingOutputs } from './living-outputs.ts';

/** What the folder of a call's outputs is called in messages: each call has it at another path. */
export const CALL_OUTPUTS = 'outputs';

/** Of the inputs of a job in a warm runner those of its call, and those that the runner starts with. */
export function splitInputs(inputs: readonly JobInput[]): {
  readonly ofCall: readonly JobInput[];
  readonly ofRunner: readonly JobInput[];
} {
  const isOfCall = ({ path }: JobInput) => callPath(path) !== undefined;
  return { ofCall: inputs.filter(isOfCall), ofRunner: inputs.filter((input) => !isOfCall(input)) };
}

/** Puts the inputs of a call, each a copy, into its folder. Throws as `placeInputs` does. */
export async function fillCall(
  inputs: readonly JobInput[],
  blob: Gathered['blob'],
  folder: string,
  placer: InputPlacer,
): Promise<void> {
  const { treeLimits, signal } = placer;
  // The program may write to them: a link would let it into the cache.
  const copying: InputPlacer = {
    ...{ treeLimits, signal, placing: 'copy' },
    cached: async (wanted) => await placer.cached(wanted),
    fetchPlace: async (from, into) => await placer.fetchPlace?.(from, into),
  };
  for (const input of inputs)
    await placeInput(input, blob, join(folder, callPath(input.path) ?? ''), copying);
}

/** Copies what a call has left into the folder `target`, which is made. Throws as {@link livingOutputs} does. */
export async function takeOutputs(
  outputs: string,
  target: string,
  options: Omit<LivingOutputOptions, 'at'>,
): Promise<void> {
  mkdirSync(target, { recursive: true });
  try {
    for await (const { path, kind, executable, bytes } of livingOutputs(outputs, {
      ...options,
      at: CALL_OUTPUTS,
    })) {
      const to = join(target, path);
      if (kind === 'folder') await mkdir(to);
      else await written(bytes(), to, executable ? 0o755 : 0o644);
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const message = `The folder for the ${CALL_OUTPUTS} of the call is not there any more.`;
    throw new OrderFailure('output_folder_removed', { message, file: CALL_OUTPUTS }, error);
  }
}

/** Copies one file that a call has left. Throws `OrderFailure` where it is not there, is no file, or is too large. */
export async function takeOutput(
  outputs: string,
  name: string,
  target: string,
  { maxBytes }: { readonly maxBytes: number },
): Promise<void> {
  const file = `${CALL_OUTPUTS}/${name}`;
  const failed = (end: End, what: string) => new OrderFailure(end, { message: `${file} ${what}.`, file });
  for await (const { path, kind, size, bytes } of livingTree(outputs, name)) {
    if (path !== '' || kind !== 'file') throw failed('output_not_a_file', 'is not a regular file');
    if (size > maxBytes)
      throw failed('output_too_large', `has more than the ${maxBytes} bytes that it may have`);
    return await written(bytes(), target, 0o644);
  }
  throw failed('output_missing', 'was not written');
}

async function written(bytes: AsyncIterable<Uint8Array>, target: string, mode: number): Promise<void> {
  try {
    await writeFile(target, bytes, { flag: 'wx', mode });
  } catch (error) {
    throwIfDiskFull(error, 'for the outputs of a call');
    throw error;
  }
}
