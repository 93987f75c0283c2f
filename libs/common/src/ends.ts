import { FAILURES, type Failure, type FailureMeaning, type FailureReason } from './failure.ts';

/** What a person is told of one way in which an order can end without a result. */
export interface EndMeaning {
  readonly reason: FailureReason;
  /** Whose fault it was; where absent, as the reason has it (see {@link FAILURES}). */
  readonly fault?: FailureMeaning['fault'];
  /** What to do about exactly this cause: sentences for whoever sent the order. */
  readonly hint: string;
}

const DISK_OF_THE_PLATFORM =
  'It is not your order that needs less: ask the operator to make room, then retry.';

/**
 * Every way in which an order ends without a result, with its reason and a hint for exactly that cause. A failure is
 * made from this table alone (see {@link failureOf}); docs/writing-algorithms.md shows it to authors.
 */
export const ENDS = {
  inputs_missing: {
    reason: 'input_not_found',
    hint: 'Upload what is named, or correct the id in the order.',
  },
  start_model_unnamed: {
    reason: 'input_not_found',
    hint: 'Name the model of the rank before in model_start, or order rank 0.',
  },
  start_model_not_made: {
    reason: 'input_not_found',
    hint: 'Retry the order that should make the model first, then this one.',
  },
  model_without_algo: {
    reason: 'input_not_found',
    hint: 'Upload the model again with the id of the algorithm that made it, or predict with another model.',
  },
  input_refused: {
    reason: 'forbidden',
    hint: 'Ask who owns what is named for the right to use it so, then retry the order.',
  },
  result_id_taken: {
    reason: 'invalid_result',
    hint: 'Order anew with another id for the result: the one that it names belongs to something else.',
  },
  model_archive_broken: {
    reason: 'invalid_result',
    hint: 'Train the model again, or upload it again as a tar.gz archive.',
  },
  input_archive_broken: {
    reason: 'invalid_result',
    hint: 'Pack the input anew as the message says, as a tar or a tar.gz, or name it without unpack.',
  },
  build_archive_broken: {
    reason: 'build_failed',
    hint: 'Pack the archive anew as the message says, and upload it under a new id.',
  },
  dockerfile_wrong: {
    reason: 'build_failed',
    hint: 'Correct the Dockerfile as the message says, and upload the archive under a new id.',
  },
  base_image_unknown: {
    reason: 'build_failed',
    hint: 'Start from an image that the platform has, or ask the operator to load this one; then retry.',
  },
  copied_file_missing: {
    reason: 'build_failed',
    hint: 'Put the file into the archive, or correct the path: it counts from the root of the archive.',
  },
  copies_too_large: {
    reason: 'build_failed',
    hint: 'Copy less: what the COPY lines make must fit on the disk of a step.',
  },
  image_user_missing: {
    reason: 'build_failed',
    hint: 'Make the user or group in a RUN line before, or write its number.',
  },
  build_command_failed: {
    reason: 'build_failed',
    hint: 'Read the end of the build log: the command ended with an error of its own.',
  },
  build_without_network: {
    reason: 'build_failed',
    hint: 'RUN lines have no network: put the packages into the archive (pip install --no-index --find-links=wheels), or start from an image that has them.',
  },
  build_printed_too_much: {
    reason: 'build_failed',
    hint: 'Let RUN lines print less, for instance by a quiet flag of the installer.',
  },
  build_out_of_memory: {
    reason: 'out_of_memory',
    hint: 'Let the RUN line use less memory (fewer parallel jobs), or start from an image that has its result.',
  },
  build_too_slow: {
    reason: 'timed_out',
    hint: 'Do less in RUN lines, or start from an image that has their result.',
  },
  image_too_large: {
    reason: 'disk_full',
    hint: 'Make the image smaller: remove what is not needed in the same RUN line, and copy less.',
  },
  registry_not_allowed: {
    reason: 'forbidden',
    hint: 'Name an image of a registry that the worker may use, or ask the operator to allow this one (--registries of compute-worker); then retry.',
  },
  image_not_permitted: {
    reason: 'forbidden',
    hint: 'Correct the name of the image, or ask the operator for credentials for it (--registry-credentials-file of compute-worker); then retry.',
  },
  image_missing: {
    reason: 'input_not_found',
    hint: 'Correct the name and the digest of the image, or push it to its registry; then retry.',
  },
  sheep_model_missing: {
    reason: 'input_not_found',
    hint: 'Correct the name and the version of the model, or ask the operator to put it into the working directory of the sheep; then retry.',
  },
  image_of_other_architecture: {
    reason: 'build_failed',
    hint: 'Push the image for the architecture of the worker too, or order it with a need (arch) that the image has.',
  },
  image_invalid: {
    reason: 'build_failed',
    hint: 'Push the image anew, with what the message names made right, and order it by its new digest.',
  },
  step_too_slow: {
    reason: 'timed_out',
    hint: 'Make the step faster, or allow it more time: a job says its own (limits.wall_seconds), the operator the most.',
  },
  step_out_of_memory: {
    reason: 'out_of_memory',
    hint: 'Use less memory (/tmp and /dev/shm count), or allow it more: a job says its own (limits.memory_bytes), the operator the most.',
  },
  step_printed_too_much: {
    reason: 'output_limit',
    hint: 'Print less: the output of a step is bounded.',
  },
  step_wrote_too_much: {
    reason: 'disk_full',
    hint: 'Write less, in fewer files, below the folders of the step; the limit is the order’s own.',
  },
  output_too_large: {
    reason: 'disk_full',
    hint: 'Leave less in the folder or file that is named: the limit is the order’s own.',
  },
  result_too_large: {
    reason: 'disk_full',
    hint: 'Make the result smaller, or ask the operator of storage for a larger limit or quota.',
  },
  bucket_refused: {
    reason: 'forbidden',
    hint: 'Name a bucket connection that you may use so, or ask the operator for the right to this one; then retry.',
  },
  prefix_missing: {
    reason: 'input_not_found',
    hint: 'Put the files below the prefix that is named, or correct it in the order.',
  },
  prefix_not_whole: {
    reason: 'input_not_found',
    hint: 'Wait for the order that writes there, or retry it; then retry this one.',
  },
  prefix_unusable: {
    reason: 'input_not_found',
    hint: 'Rename or remove what is named, or name a prefix without it; then retry.',
  },
  prefix_changed: {
    reason: 'input_not_found',
    hint: 'Retry the order when nobody writes below the prefix any more.',
  },
  prefix_too_large: {
    reason: 'disk_full',
    hint: 'Name a prefix that holds less, or pack many small files into an archive; the limit is the order’s own.',
  },
  prefix_taken: {
    reason: 'invalid_result',
    hint: 'Order anew with another prefix for the outputs: there is something already at the one that is named.',
  },
  shared_memory_full: {
    reason: 'exit_code',
    hint: 'Load data in fewer processes, or ask the operator for more shared memory (--shm-size, --memory).',
  },
  program_not_started: {
    reason: 'exit_code',
    hint: 'Correct the ENTRYPOINT, or the file that it names, as the message says.',
  },
  program_crashed: {
    reason: 'exit_code',
    hint: 'A signal ended the program: look at the end of the log, and for a library that was built for another processor.',
  },
  program_failed: {
    reason: 'exit_code',
    hint: 'Read the end of the log: the program ended by itself with an error.',
  },
  call_failed: {
    reason: 'exit_code',
    hint: 'Read the message and the end of the log: the program answered the call with an error of its own.',
  },
  call_unanswered: {
    reason: 'exit_code',
    hint: 'Let the program go on until it is stopped, and answer each call: it ended before it had.',
  },
  runner_protocol_broken: {
    reason: 'invalid_result',
    hint: 'Let the program speak with its worker as docs/runners.md has it.',
  },
  runner_start_too_slow: {
    reason: 'timed_out',
    hint: 'Let the program ask for its first call sooner, or ask the operator for more time (--runner-start).',
  },
  runner_not_declared: {
    reason: 'build_failed',
    hint: 'Say in the image that it is a warm runner (LABEL morpheo.runner="1"), or order it without warm.',
  },
  runner_too_large: {
    reason: 'out_of_memory',
    hint: 'Ask for less memory (limits.memory_bytes), or ask the operator for more for warm runners (--runner-memory).',
  },
  runner_broken: {
    reason: 'exit_code',
    hint: 'Read the end of the log: the program failed at each of its last starts. Correct it and order anew, or have it tried again (morpheo runners retry).',
  },
  model_missing: {
    reason: 'missing_result',
    hint: 'Let train write at least one file to the folder of the model before it ends.',
  },
  output_missing: {
    reason: 'missing_result',
    hint: 'Write the file that is named, at the path that is named, before the program ends.',
  },
  output_folder_removed: {
    reason: 'missing_result',
    hint: 'Leave the folder that is named in its place: remove what is in it, never the folder.',
  },
  output_unreadable: {
    reason: 'invalid_result',
    hint: 'Leave the file to the user that the program ran as, readable by its owner.',
  },
  output_not_a_file: {
    reason: 'invalid_result',
    hint: 'Write regular files and folders with plain names there: no links, pipes, sockets or devices.',
  },
  performance_invalid: {
    reason: 'invalid_result',
    hint: 'Let perf write the scores in the form that the message and the container contract give.',
  },
  canary_found: {
    reason: 'withheld',
    hint: 'What it made or printed holds what it may not: the owner of the problem can say more.',
  },
  order_cancelled: {
    reason: 'cancelled',
    hint: 'The order was cancelled; retry it if that was a mistake.',
  },
  worker_disk_full: {
    reason: 'disk_full',
    fault: 'platform',
    hint: `The worker's own disk was full. ${DISK_OF_THE_PLATFORM}`,
  },
  docker_disk_full: {
    reason: 'disk_full',
    fault: 'platform',
    hint: `The disk of the worker's Docker daemon was full. ${DISK_OF_THE_PLATFORM}`,
  },
  storage_disk_full: {
    reason: 'disk_full',
    fault: 'platform',
    hint: `The disk of storage was full. ${DISK_OF_THE_PLATFORM}`,
  },
  workers_lost: {
    reason: 'worker_lost',
    hint: 'Every worker that took the order was lost; ask the operator, then retry.',
  },
  worker_unfit: {
    reason: 'forbidden',
    hint: 'Change the order as the message says, or send it where workers of Morpheo Compute run.',
  },
  foreign_worker_failed: {
    reason: 'internal',
    hint: 'The log of the worker says why: ask the operator, then retry.',
  },
  platform_failed: { reason: 'internal', hint: 'The platform failed; ask the operator, then retry.' },
} as const satisfies Record<string, EndMeaning>;

/** A row of {@link ENDS}. */
export type End = keyof typeof ENDS;

/** Whose fault an end was. */
export function faultOf(end: End): FailureMeaning['fault'] {
  const { reason, fault }: EndMeaning = ENDS[end];
  return fault ?? FAILURES[reason].fault;
}

/** A failure as an end has it: what was found is the caller's, reason and hint are the table's. */
export function failureOf(end: End, found: FoundFailure): Failure {
  const { reason, hint } = ENDS[end];
  return { reason, ...found, hint };
}

/** What a failure says beside what its end says. */
export type FoundFailure = Omit<Failure, 'reason' | 'hint'>;

/** Thrown in a worker for what the order's own code or inputs did: it ends the order, and is never tried again. */
export class OrderFailure extends Error {
  override name = 'OrderFailure';
  readonly end: End;
  readonly failure: Failure;

  constructor(end: End, found: FoundFailure, cause?: unknown) {
    super(found.message, cause === undefined ? undefined : { cause });
    this.end = end;
    this.failure = failureOf(end, found);
  }
}
