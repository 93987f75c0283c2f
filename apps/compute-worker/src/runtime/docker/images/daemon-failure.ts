import { type End, OrderFailure, PlatformError } from '@morpheo/common';
import { diskFull } from '../../../files/disk-full.ts';
import { buildFailure } from '../../dockerfile/failure.ts';
import { isFull } from '../client/errors.ts';

/** What the machine, and not the Dockerfile, is to blame for. */
const OF_THE_MACHINE =
  /context canceled|context deadline|shutting down|connection refused|containerd|cgroup|input\/output error|read-only file system: unknown|docker-init|i\/o timeout/i;

/** What a daemon says of a Dockerfile that nobody but its author can mend, and what its author is told. */
const OF_THE_AUTHOR: readonly (readonly [said: RegExp, told: string, end?: End])[] = [
  [
    /unable to find user|no matching entries in passwd|unable to find group|can't find (uid|gid)/i,
    'there is no such user or group in the image: make it by RUN before, or write numbers',
    'image_user_missing',
  ],
  [
    /not a directory|is not a directory|cannot mkdir|cannot create directory/i,
    'something that is no folder stands in the way of it',
  ],
  [
    /no such file or directory|file does not exist|no source files|not found/i,
    'there is nothing at what it copies from',
    'copied_file_missing',
  ],
  [/too many levels of symbolic links/i, 'links lead in a circle'],
  [/max depth exceeded/i, 'the image has too many layers: write several RUN lines as one'],
  [/file name too long/i, 'a path is too long'],
];

/**
 * What a daemon says of a line that it could not carry out, as an error: `disk_full` or `unavailable` where that is
 * the machine's doing, else `build_failed`. Its own words, which have paths and addresses of its machine in them, are
 * for the worker's log alone: they are the cause.
 */
export function daemonFailure(said: string, line: number, cause?: unknown): OrderFailure | PlatformError {
  const because = cause ?? new Error(said);
  const ofTheMachine = machineFailure(said, because);
  if (ofTheMachine !== undefined) return ofTheMachine;
  const [, told = 'Docker refuses it', end] = OF_THE_AUTHOR.find(([pattern]) => pattern.test(said)) ?? [];
  return buildFailure(`It cannot be carried out: ${told}.`, line, because, end);
}

/** What a daemon says of an image that it does not take, as {@link daemonFailure} has it; else `image_invalid`. */
export function loadFailure(said: string, cause?: unknown): OrderFailure | PlatformError {
  const because = cause ?? new Error(said);
  const message =
    'Docker does not take the image: its layers cannot be unpacked one over the other, or its configuration is not valid.';
  return (
    machineFailure(said, because) ?? new OrderFailure('image_invalid', { message, step: 'build' }, because)
  );
}

function machineFailure(said: string, because: unknown): PlatformError | undefined {
  if (isFull(said))
    return diskFull('docker', 'The disk of the Docker daemon has no room for an image.', because);
  if (!OF_THE_MACHINE.test(said)) return undefined;
  return new PlatformError('unavailable', 'The Docker daemon could not make an image.', { cause: because });
}
