import { type End, OrderFailure, PlatformError } from '@morpheo/common';
import { formatBytes } from '../../../steps/format.ts';
import { buildFailure, shown } from '../../dockerfile/failure.ts';
import type { RunAction } from '../../dockerfile/plan/actions.ts';
import type { RunLimits, RunResult } from '../../index.ts';
import type { PassedLimit } from '../../run-state.ts';

/** What installers and programs print when they find no network, which RUN lines do not have. */
const WANTED_NETWORK =
  /could ?n[o']t (resolve|connect)|unable to (resolve|connect)|failure (in name resolution|resolving)|name or service not known|no such host|network is unreachable|no route to host|bad address|temporary error \(try again later\)|failed to establish a new connection|getaddrinfo|EAI_AGAIN|ENOTFOUND|ENETUNREACH|DNS/i;

/** How a line ends that passes a limit; of `timed_out` only the whole build has one. */
const LIMITS: Record<
  Exclude<PassedLimit, 'timed_out'>,
  { readonly end: End; readonly did: string; readonly limit: 'memoryBytes' | 'diskBytes' | 'outputBytes' }
> = {
  out_of_memory: {
    end: 'build_out_of_memory',
    did: 'the RUN line needed more memory than',
    limit: 'memoryBytes',
  },
  disk_full: { end: 'image_too_large', did: 'the RUN line wrote more than', limit: 'diskBytes' },
  output_limit: { end: 'build_printed_too_much', did: 'the build printed more than', limit: 'outputBytes' },
};

/**
 * Throws unless a RUN line has ended well: `OrderFailure` for what the line did, `unavailable` where it was killed
 * from outside. The limits are those of the build. `printed` is the end of what it printed, by which a line that wants the network is told from others.
 */
export function demandSuccess(
  result: RunResult,
  { line, text }: Pick<RunAction, 'line' | 'text'>,
  limits: Pick<RunLimits, 'memoryBytes' | 'diskBytes' | 'outputBytes'>,
  printed: string,
): void {
  const { ended, exitCode } = result;
  if (result.killedBelowLimits === true)
    throw new PlatformError('unavailable', 'A RUN line was killed from outside, well below its limits.');
  if (ended === 'timed_out') throw new PlatformError('internal', 'A line of a build has no time of its own.');
  if (ended === 'exited') {
    if (exitCode === 0) return;
    const end = WANTED_NETWORK.test(printed) ? 'build_without_network' : 'build_command_failed';
    throw buildFailure(`${shown(text)} ended with exit code ${exitCode}.`, line, undefined, end);
  }
  const { end, did, limit: name } = LIMITS[ended];
  const limit = formatBytes(limits[name]);
  throw new OrderFailure(end, {
    message: `Dockerfile, line ${line}: ${did} ${limit} and was stopped.`,
    file: 'Dockerfile',
    step: 'build',
    limit,
    exit_code: exitCode,
  });
}
