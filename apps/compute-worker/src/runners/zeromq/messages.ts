import { z } from 'zod';

/**
 * What Shepherd and its runners tell one another (iterait/shepherd, `shepherd/comm/messages.py`): JSON, wrapped in
 * `message`, in one frame of ZeroMQ.
 */

/** What an answer may have, in bytes; a traceback of Python may be long. */
export const ANSWER_BYTES = 1024 ** 2;
/** What of an answer is kept, in characters. */
const MESSAGE_CHARACTERS = 4000;
const TYPE_CHARACTERS = 200;
const TRACEBACK_CHARACTERS = 32_000;

/** That a call is to be done: its files lie in `<root>/<id>/inputs`, and are to be put into `<root>/<id>/outputs`. */
export function inputMessage(id: string, root: string): Buffer {
  const message = { identity: '', job_id: id, io_data_root: root, message_type: 'InputMessage' };
  return Buffer.from(JSON.stringify({ message }));
}

const short = (characters: number) =>
  z
    .string()
    .nullish()
    .transform((text) => text?.slice(0, characters));

const done = z.object({ message_type: z.literal('DoneMessage'), job_id: z.string() });

/** Before 0.5 the members of an error had other names. */
const failed = z.object({
  message_type: z.literal('ErrorMessage'),
  job_id: z.string(),
  message: short(MESSAGE_CHARACTERS),
  short_error: short(MESSAGE_CHARACTERS),
  exception_type: short(TYPE_CHARACTERS),
  exception_traceback: short(TRACEBACK_CHARACTERS),
  long_error: short(TRACEBACK_CHARACTERS),
});

const answer = z.object({ message: z.discriminatedUnion('message_type', [done, failed]) });

/** What a runner says of a call. */
export type Answer =
  | { readonly id: string; readonly ok: true }
  | {
      readonly id: string;
      readonly ok: false;
      readonly message: string;
      readonly type?: string;
      readonly traceback?: string;
    };

/** Reads what a runner sent; undefined where it is no answer of the protocol. */
export function readAnswer(frame: Buffer): Answer | undefined {
  const read = answer.safeParse(parsed(frame));
  if (!read.success) return undefined;
  const { message } = read.data;
  if (message.message_type === 'DoneMessage') return { id: message.job_id, ok: true };
  const type = message.exception_type;
  const traceback = message.exception_traceback ?? message.long_error;
  return {
    id: message.job_id,
    ok: false,
    message: message.message ?? message.short_error ?? 'The runner says that it failed, and not why.',
    ...(type === undefined ? {} : { type }),
    ...(traceback === undefined ? {} : { traceback }),
  };
}

function parsed(frame: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame));
  } catch {
    return undefined;
  }
}
