import { failure, type OrderEvent, STEPS } from '@morpheo/common';
import { z } from 'zod';
import { clockTime, humanBytes, humanSeconds } from '../terminal/human.ts';
import { oneLine } from '../terminal/plain.ts';
import type { Look, Paint } from '../terminal/terminal.ts';
import { failureLine } from './failure-text.ts';

/** What an entry of the history may say; anything else, or of another form, is passed over. */
const step = z.object({
  step: z.enum(STEPS),
  seconds: z.number().optional().catch(undefined),
  cached: z.boolean().optional().catch(undefined),
  exit_code: z.int().optional().catch(undefined),
  peak_memory_bytes: z.int().optional().catch(undefined),
});
const details = z.object({
  worker: z.string().optional().catch(undefined),
  model: z.string().optional().catch(undefined),
  failure: failure.optional().catch(undefined),
  record: step.optional().catch(undefined),
});

type Details = z.infer<typeof details> & { readonly step: z.infer<typeof step> | undefined };

/** How each kind of entry looks and reads; undefined where its details say nothing to a person. */
const TEXTS: Record<OrderEvent['what'], { look: Look; text: (told: Details, event: OrderEvent) => string }> =
  {
    accepted: {
      look: 'cyan',
      text: (_, event) => (event.status === 'waiting' ? 'accepted; waits for its start model' : 'accepted'),
    },
    ready: {
      look: 'cyan',
      text: (told) => `its start model is there${told.model === undefined ? '' : ` (${short(told.model)})`}`,
    },
    claimed: {
      look: 'yellow',
      text: (told) => `a worker took it${told.worker === undefined ? '' : ` (${short(told.worker)})`}`,
    },
    resumed: { look: 'yellow', text: () => 'the worker was started again, and goes on' },
    step_started: { look: 'dim', text: (told) => `${told.step?.step ?? 'step'} …` },
    step_ended: { look: 'yellow', text: (told) => stepText(told.step) },
    released: { look: 'cyan', text: () => 'given back unharmed by a worker that stops' },
    lost: { look: 'magenta', text: () => 'the worker was lost' },
    error: { look: 'magenta', text: (told) => reasonText('the platform broke it', told) },
    publishing: { look: 'yellow', text: () => 'the result is being published' },
    done: { look: 'green', text: () => 'done' },
    failed: { look: 'red', text: (told) => reasonText('failed', told) },
    cancelled: { look: 'magenta', text: () => 'cancelled' },
    retried: { look: 'cyan', text: () => 'is to be tried again' },
    told: { look: 'dim', text: () => 'the orchestrator was told' },
  };

/** An entry of an order's history as one line: local time of day, attempt, what happened. */
export function eventLine(paint: Paint, event: OrderEvent): string {
  const { look, text } = TEXTS[event.what];
  const attempt = event.attempt === 0 ? '   ' : `#${event.attempt}`.padEnd(3);
  const told = text(readDetails(event.details), event);
  return `${paint('dim', `${clockTime(event.at)} ${attempt}`)} ${paint(look, told)}`;
}

function readDetails(raw: OrderEvent['details']): Details {
  const told = details.parse(raw);
  const flat = step.safeParse(raw);
  return { ...told, step: told.record ?? (flat.success ? flat.data : undefined) };
}

function stepText(told: Details['step']): string {
  if (told === undefined) return 'step ended';
  const facts = [
    told.seconds === undefined ? undefined : humanSeconds(told.seconds),
    told.cached === true ? 'found done' : undefined,
    told.peak_memory_bytes === undefined ? undefined : `peak ${humanBytes(told.peak_memory_bytes)}`,
    (told.exit_code ?? 0) === 0 ? undefined : `exit code ${told.exit_code}`,
  ].filter((fact) => fact !== undefined);
  return `${told.step}${facts.length === 0 ? '' : `  ${facts.join(', ')}`}`;
}

function reasonText(what: string, told: Details): string {
  return told.failure === undefined ? what : `${what}: ${failureLine(told.failure)}`;
}

function short(id: string): string {
  return oneLine(id).slice(0, 8);
}
