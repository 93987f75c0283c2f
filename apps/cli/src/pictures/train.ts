import {
  delayMs,
  hasEnded,
  isTransient,
  retry,
  sleep,
  type TrainingRequest,
  type TrainingView,
} from '@morpheo/common';
import type { Context } from '../context.ts';
import type { Paint } from '../terminal/terminal.ts';
import { humanSeconds, oneLine } from '../terminal/text.ts';

/** The pauses between looks at a training: they grow while there is no news of it. */
const PAUSES = { firstMs: 100, mostMs: 2_000, jitter: 0 } as const;
/** A service that restarts is waited for. */
const PATIENCE = { firstMs: 500, mostMs: 5_000, jitter: 0.25, retryIf: isTransient } as const;

/** Orders a training; again with the same id, it is the same training. */
export async function orderTraining(
  { pictures, signal }: Pick<Context, 'pictures' | 'signal'>,
  body: TrainingRequest,
): Promise<TrainingView> {
  return await pictures().createTraining({ body }, { signal });
}

/** Follows a training to its end: `each` gets how it stands whenever an epoch more is there, and what it waits for. */
export async function followTraining(
  { pictures, signal }: Pick<Context, 'pictures' | 'signal'>,
  first: TrainingView,
  each: (view: TrainingView, before: TrainingView) => Promise<void>,
): Promise<TrainingView> {
  const look = async () => await pictures().getTraining({ params: { training: first.id } }, { signal });
  let before = first;
  let looks = 1;
  while (!hasEnded(before.status)) {
    await sleep(delayMs(looks, PAUSES), signal);
    signal.throwIfAborted();
    const view = await retry(look, { ...PATIENCE, signal });
    await each(view, before);
    looks = trainingNews(view, before).length > 0 ? 1 : looks + 1;
    before = view;
  }
  return before;
}

/** A line for each epoch that `view` has more than `before`; and why it waits, where that is new. */
export function trainingNews(view: TrainingView, before: TrainingView): string[] {
  const waits = view.why !== undefined && view.why !== before.why ? [`waits: ${oneLine(view.why)}`] : [];
  const known = new Set(before.epochs.map(({ epoch }) => epoch));
  const fresh = view.epochs.filter(({ epoch }) => !known.has(epoch));
  return [
    ...waits,
    ...fresh.map(
      ({ epoch, loss, accuracy, seconds, engine, device }) =>
        `epoch ${epoch} of ${view.epochs_wanted}  loss ${loss.toFixed(4)}  accuracy ${percent(accuracy)}  ` +
        `${humanSeconds(seconds)}  ${oneLine(engine, 20)} (${oneLine(device, 40)})`,
    ),
  ];
}

/** How a training has ended. */
export function trainingText(paint: Paint, { id, status, best, failure, output }: TrainingView): string {
  if (status !== 'done') {
    const why = failure === undefined ? '' : `: ${oneLine(failure.message, 300)}`;
    return `${paint('red', '✗')} training ${paint('bold', id)}  ${status}${why}`;
  }
  const told = best === undefined ? '' : `  accuracy ${percent(best.accuracy)} after epoch ${best.epoch}`;
  const place =
    output === undefined ? '' : `\n  ${paint('dim', `its network: morpheo get output ${output}`)}`;
  return `${paint('green', '✓')} training ${paint('bold', id)}${told}${place}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
