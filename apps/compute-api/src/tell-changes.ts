import type { Log } from '@morpheo/service/log';
import type { Change } from './journal.ts';

/** What the log says of a change; the history has the rest. */
const WORDS: Readonly<Record<Change['what'], string>> = {
  accepted: 'An order was taken in',
  ready: 'The model that an order waited for is there',
  claimed: 'A worker took an order',
  resumed: 'A worker was started again, and goes on with an order',
  step_started: 'A step started',
  step_ended: 'A step ended',
  released: 'A worker gave an order back',
  lost: 'A worker was lost with an order, which is tried again',
  error: 'An attempt broke off, and the order is tried again',
  publishing: 'An attempt succeeded, and its result is being published',
  done: 'An order is done',
  failed: 'An order has failed',
  cancelled: 'An order was cancelled',
  retried: 'An order is tried again, as somebody asked',
  told: 'The orchestrator was told',
};

/** Writes a line for each change of an order, with its id. */
export function tellChanges(log: Log): (change: Change) => void {
  return ({ what, order, failure }) => {
    const { id, kind, status, attempt, worker } = order;
    const fields = {
      order: id,
      ...(attempt > 0 ? { attempt } : {}),
      kind,
      status,
      ...(what === 'claimed' ? { worker } : {}),
      ...(failure === undefined ? {} : { reason: failure.reason, step: failure.step }),
    };
    if (what === 'step_started' || what === 'step_ended') log.debug(fields, WORDS[what]);
    else log.info(fields, WORDS[what]);
  };
}
