import { type CallAnswer, MOST_IN_CALL, MOST_IN_JOB, OrderFailure, PlatformError } from '@morpheo/common';
import type { TreeLimits } from '@morpheo/service/archive';
import type { LivingFile } from '../../files/living-tree.ts';
import { livingOutputs } from '../../warm/living-outputs.ts';

const LIMITS: TreeLimits = {
  bytes: MOST_IN_CALL.outputBytes,
  files: MOST_IN_CALL.outputs,
  depth: 64,
  pathBytes: MOST_IN_JOB.pathBytes,
};
/** What a program calls its folder in messages: its path is the call's own. */
const AT = 'outputs';

/**
 * The files that a call has left in its folder for outputs, as its answer has them. Throws `too_large` for more than an answer
 * may have, and `OrderFailure` that names what is neither file nor folder.
 */
export async function readOutputs(folder: string, signal: AbortSignal): Promise<CallAnswer['outputs']> {
  const outputs: CallAnswer['outputs'] = [];
  try {
    for await (const file of livingOutputs(folder, { limits: LIMITS, at: AT, signal }))
      if (file.kind === 'file') outputs.push({ name: file.path, data: await base64Of(file) });
  } catch (error) {
    if (!(error instanceof OrderFailure) || error.end !== 'output_too_large') throw error;
    const message = `${error.message} Make it an order, whose outputs are kept on storage (Prefer: respond-async, or morpheo run --warm).`;
    throw new PlatformError('too_large', message, { cause: error });
  }
  return outputs;
}

async function base64Of(file: LivingFile): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of file.bytes()) pieces.push(piece);
  return Buffer.concat(pieces).toString('base64');
}
