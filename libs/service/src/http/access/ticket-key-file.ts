import { startLoop } from '../../lifecycle/index.ts';
import type { Log } from '../../log/index.ts';
import { openTicketKeys, type TicketKeys, ticketVerifier, type VerifyTicket } from './tickets.ts';

/** What {@link followTicketKeys} is given. */
export interface FollowTicketKeys {
  readonly file: string;
  readonly log: Log;
  /** How often the file is looked at even where nobody needs a key, in milliseconds; 5,000 where absent. */
  readonly everyMs?: number | undefined;
  /** Milliseconds that only grow; those of the process where absent. */
  readonly clock?: (() => number) | undefined;
}

/** The keys of a file, followed until they are disposed. */
export interface FollowedTicketKeys extends AsyncDisposable {
  readonly keys: TicketKeys;
  /** Knows tickets by the keys; the log says so, at most once a minute, where one is signed with another key. */
  readonly verify: VerifyTicket;
  /** What is wrong with the file as it is now, while the keys before are used; undefined where nothing is. */
  readonly warning: () => Promise<string | undefined>;
}

const EVERY_MS = 5000;
/** So often at most the log says that a ticket is signed with an unknown key, in milliseconds: strangers can sign some. */
const TOLD_EVERY_MS = 60_000;

/**
 * Opens the file of ticket keys, and tells the log when it was read again, and once for each reason why it cannot be.
 * Throws as `openTicketKeys` does.
 */
export async function followTicketKeys(options: FollowTicketKeys): Promise<FollowedTicketKeys> {
  const { file, log, everyMs = EVERY_MS, clock = () => performance.now() } = options;
  let problem: string | undefined;
  const onError = (error: unknown): void => {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason !== problem) {
      log.warn(
        { error, files: [file] },
        'The ticket keys have changed and are no good: those before hold on',
      );
    }
    problem = reason;
  };
  const onLook = (isNew: boolean): void => {
    problem = undefined;
    if (isNew) log.info({ files: [file] }, 'The ticket keys have changed and were read again');
  };
  const keys = await openTicketKeys(file, onError, clock, onLook);
  const loop = startLoop({ name: 'watch ticket keys', everyMs, work: async () => void (await keys()), log });
  return {
    keys,
    verify: ticketVerifier(keys, Date.now, tellUnknown(log, clock)),
    warning: async () => {
      await keys();
      return problem === undefined ? undefined : `The keys before are used: ${problem}`;
    },
    [Symbol.asyncDispose]: async () => await loop[Symbol.asyncDispose](),
  };
}

function tellUnknown(log: Log, clock: () => number): () => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  let tickets = 0;
  return () => {
    tickets += 1;
    if (clock() - toldAt < TOLD_EVERY_MS) return;
    toldAt = clock();
    log.warn(
      { tickets },
      'A ticket is signed with a key that is not known here: give compute-api and storage-api the same --ticket-key-file',
    );
    tickets = 0;
  };
}
