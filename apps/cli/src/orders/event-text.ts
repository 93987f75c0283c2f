import { failure, type OrderEvent, STEPS } from '@morpheo/common';
import { z } from 'zod';
import type { Look, Paint } from '../terminal/terminal.ts';
import { clockTime, humanBytes, humanSeconds, oneLine } from '../terminal/text.ts';
import { failureLine, reusedText } from './order-text.ts';

/** What an entry of the history may say; anything else, or of another form, is passed over. */
const stepSchema = z.object({
  step: z.enum(STEPS),
  seconds: z.number().optional().catch(undefined),
  cached: z.boolean().optional().catch(undefined),
  reused: z.int().optional().catch(undefined),
  exit_code: z.int().optional().catch(undefined),
  peak_memory_bytes: z.int().optional().catch(undefined),
});
const detailsSchema = z.object({
  what: z.string().optional().catch(undefined),
  worker: z.string().optional().catch(undefined),
  model: z.string().optional().catch(undefined),
  failure: failure.optional().catch(undefined),
  lines: z.array(z.record(z.string(), z.unknown())).optional().catch(undefined),
  record: stepSchema.optional().catch(undefined),
});

type Details = z.infer<typeof detailsSchema> & { readonly step: z.infer<typeof stepSchema> | undefined };

/** How each kind of entry looks and reads; undefined where its details say nothing to a person. */
const TEXTS: Record<
  OrderEvent['what'],
  { look: Look; text: (details: Details, event: OrderEvent) => string }
> = {
  accepted: {
    look: 'cyan',
    text: () => 'accepted',
  },
  ready: {
    look: 'cyan',
    text: (details) =>
      `its start model is there${details.model === undefined ? '' : ` (${short(details.model)})`}`,
  },
  checked: { look: 'cyan', text: () => 'checked: storage holds what it names' },
  claimed: {
    look: 'yellow',
    text: (details) => `a worker took it${details.worker === undefined ? '' : ` (${short(details.worker)})`}`,
  },
  resumed: { look: 'yellow', text: () => 'the worker was started again, and goes on' },
  step_started: { look: 'dim', text: (details) => `${details.step?.step ?? 'step'} …` },
  step_ended: { look: 'yellow', text: (details) => stepText(details.step) },
  metrics: { look: 'cyan', text: ({ lines = [] }) => lines.slice(-1).map(metricsText).join('') },
  released: { look: 'cyan', text: () => 'given back by a worker that shuts down' },
  lost: { look: 'magenta', text: () => 'the worker was lost' },
  error: { look: 'magenta', text: (details) => reasonText('the platform failed', details) },
  publishing: { look: 'yellow', text: () => 'the result is being published' },
  done: { look: 'green', text: () => 'done' },
  failed: { look: 'red', text: (details) => reasonText('failed', details) },
  cancelled: { look: 'magenta', text: () => 'cancelled' },
  retried: { look: 'cyan', text: () => 'queued for another try' },
  told: {
    look: 'dim',
    text: ({ what }) => `the ${what === 'tell_callback' ? 'callback' : 'orchestrator'} was notified`,
  },
};

/** An entry of an order's history as one line: local time of day, attempt, what happened. */
export function eventLine(paint: Paint, event: OrderEvent): string {
  const { look, text } = TEXTS[event.what];
  const attempt = event.attempt === 0 ? '   ' : `#${event.attempt}`.padEnd(3);
  const line = text(readDetails(event.details), event);
  return `${paint('dim', `${clockTime(event.at)} ${attempt}`)} ${paint(look, line)}`;
}

function readDetails(raw: OrderEvent['details']): Details {
  const details = detailsSchema.parse(raw);
  const flat = stepSchema.safeParse(raw);
  return { ...details, step: details.record ?? (flat.success ? flat.data : undefined) };
}

function metricsText(line: Readonly<Record<string, unknown>>): string {
  const told = Object.entries(line).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return oneLine(told.join(', '), 200);
}

function stepText(step: Details['step']): string {
  if (step === undefined) return 'step ended';
  const facts = [
    step.seconds === undefined ? undefined : humanSeconds(step.seconds),
    step.cached === true ? 'cached' : undefined,
    reusedText(step.reused),
    step.peak_memory_bytes === undefined ? undefined : `peak ${humanBytes(step.peak_memory_bytes)}`,
    (step.exit_code ?? 0) === 0 ? undefined : `exit code ${step.exit_code}`,
  ].filter((fact) => fact !== undefined);
  return `${step.step}${facts.length === 0 ? '' : `  ${facts.join(', ')}`}`;
}

function reasonText(happened: string, details: Details): string {
  return details.failure === undefined ? happened : `${happened}: ${failureLine(details.failure)}`;
}

function short(id: string): string {
  return oneLine(id).slice(0, 8);
}
