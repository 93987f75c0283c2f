import {
  FAILURES,
  type Failure,
  type JobView,
  KIND_NAMES,
  type OrderStatus,
  type OrderSummary,
  type OrderView,
  type Performance,
  SEEING_STEPS,
  termsOf,
} from '@morpheo/common';
import { disclosureText } from '../platform/disclosure.ts';
import type { Look, Paint } from '../terminal/terminal.ts';
import {
  counted,
  humanBytes,
  humanSeconds,
  localTime,
  oneLine,
  plain,
  secondsBetween,
} from '../terminal/text.ts';

const LOOKS: Record<OrderStatus, Look> = {
  waiting: 'dim',
  todo: 'cyan',
  pending: 'yellow',
  done: 'green',
  failed: 'red',
  cancelled: 'magenta',
};

/** A status in its colour. */
export function paintStatus(paint: Paint, status: OrderStatus): string {
  return paint(LOOKS[status], status);
}

/** A failure in one line: the reason, where, and what was found. */
export function failureLine(failure: Failure): string {
  const where = failure.step === undefined ? '' : ` in ${failure.step}`;
  return `${failure.reason}${where}: ${oneLine(failure.message, 400)}`;
}

/** Why an order failed, as far as its viewer is shown that. */
export type Failed = Pick<OrderView, 'id' | 'shown' | 'sample_order'> & { readonly failure: Failure };

/** What to do where the log, or a name in the message, would say it, but the viewer is not shown all of the step. */
function adviceFor({ id, shown, failure: { reason, step, hint } }: Failed): string {
  const advice = hint ?? FAILURES[reason].advice;
  const what = SEEING_STEPS.filter((one) => one === step).map((one) => shown?.[one])[0];
  if (what === undefined || what === 'all' || (reason !== 'exit_code' && reason !== 'missing_result'))
    return advice;
  if (typeof what === 'object') return `Read the end of what it printed: morpheo logs ${id}`;
  return 'Its log is not shown to you: try the algorithm on data that you may read, or ask the owner of the problem.';
}

/** The figures of a failure, what to do, and the end of the log: a line each. */
export function failureDetails(paint: Paint, failed: Failed): string[] {
  const { failure } = failed;
  const figures = [
    failure.exit_code === undefined ? undefined : `exit code ${failure.exit_code}`,
    failure.limit === undefined ? undefined : `limit ${oneLine(failure.limit)}`,
    failure.peak === undefined ? undefined : `peak ${oneLine(failure.peak)}`,
    failure.file === undefined ? undefined : `file ${oneLine(failure.file)}`,
  ].filter((figure) => figure !== undefined);
  return [
    ...(figures.length === 0 ? [] : [`  ${figures.join(', ')}`]),
    `  ${oneLine(adviceFor(failed), 1000)}`,
    ...(failure.log_tail ?? []).map((line) => `  ${paint('dim', '│')} ${plain(line)}`),
    ...sampleLines(failed),
  ];
}

/** Where to see an order fail that failed over hidden data. */
export function sampleLines({ sample_order: sample }: Pick<OrderView, 'sample_order'>): string[] {
  if (sample === undefined) return [];
  return [
    `  The same algorithm runs on the public sample, where all is shown: morpheo orders watch ${sample}`,
  ];
}

/** An order with its attempts, for people. */
export function orderText(paint: Paint, order: OrderView): string {
  const lines = fieldsOf(paint, order)
    .filter((field): field is [string, string] => field[1] !== undefined)
    .map(([name, value]) => `${paint('dim', name.padEnd(12))}${value}`);
  for (const attempt of order.attempts) lines.push('', ...attemptLines(paint, attempt));
  const { failure } = order;
  if (failure !== undefined)
    lines.push('', paint('red', failureLine(failure)), ...failureDetails(paint, { ...order, failure }));
  return lines.join('\n');
}

/** What an order brought, in one line: the scores and the model, or the prediction; undefined while there is nothing. */
export function resultLine(order: OrderSummary): string | undefined {
  const { result } = order;
  if (result === undefined) return undefined;
  const scores = result.performance === undefined ? '' : `perf ${scoreText(result.performance.perf)}, `;
  const size = result.size === undefined ? '' : `, ${humanBytes(result.size)}`;
  return `${scores}${KIND_NAMES[order.kind].result} ${result.uuid}${size}`;
}

/** A score with the digits that tell algorithms apart. */
export function scoreText(score: number): string {
  return Math.abs(score) < 1000 ? score.toFixed(4) : score.toPrecision(6);
}

function fieldsOf(paint: Paint, order: OrderView): readonly (readonly [string, string | undefined])[] {
  const took = secondsBetween(order.started_at, order.ended_at);
  return [
    ['order', paint('bold', order.id)],
    ['kind', order.rank === undefined ? order.kind : `${order.kind}, rank ${order.rank}`],
    ['status', paintStatus(paint, order.status)],
    ['result', resultLine(order)],
    ...scoreFields(order.result?.performance),
    ['problem', order.problem],
    ['workflow', order.workflow],
    ['algo', order.algo],
    ['model', order.model],
    ['start model', order.model_start],
    ['end model', order.model_end],
    ['sample of', order.sample_of],
    ['sample', order.sample_order],
    ...jobFields(order.job),
    ['gpus', order.gpus === 0 ? undefined : String(order.gpus)],
    ['needs', order.needs === undefined ? undefined : oneLine(termsOf(order.needs).join(', '), 1000)],
    ['owner', oneLine(order.owner, 100)],
    ['group', order.group],
    ['priority', order.priority === 0 ? undefined : String(order.priority)],
    ...placeFields(order),
    ['data', order.data],
    ['train data', order.train_data?.join(`\n${' '.repeat(12)}`)],
    ['test data', order.test_data?.join(`\n${' '.repeat(12)}`)],
    ['created', localTime(order.created_at)],
    ['started', order.started_at === undefined ? undefined : localTime(order.started_at)],
    ['ended', order.ended_at === undefined ? undefined : localTime(order.ended_at)],
    ['took', took === undefined ? undefined : humanSeconds(took)],
    ['shown', order.shown === undefined ? undefined : disclosureText(order.shown)],
  ];
}

function jobFields(job: JobView | undefined): [string, string | undefined][] {
  if (job === undefined) return [];
  const list = (all: readonly string[]) =>
    all.length === 0 ? undefined : all.map((one) => oneLine(one, 300)).join(`\n${' '.repeat(12)}`);
  const { bucket } = job.outputs ?? {};
  return [
    ['image', job.image],
    ['warm', job.warm],
    ['command', list((job.command ?? []).length === 0 ? [] : [(job.command ?? []).join(' ')])],
    ['env', list(Object.entries(job.env ?? {}).map(([name, value]) => `${name}=${value}`))],
    ['inputs', list(job.inputs.map((input) => `${input.path}  ${inputText(input)}`))],
    ['output id', job.output],
    ['copied to', bucket === undefined ? undefined : `bucket:${bucket.connection}/${bucket.prefix}`],
    ['limits', list(Object.entries(job.limits ?? {}).map(([name, value]) => `${name} ${value}`))],
    ['labels', list(Object.entries(job.labels ?? {}).map(([name, value]) => `${name}=${value}`))],
  ];
}

function inputText({ resource, bucket, inline_bytes: bytes = 0, unpack }: JobView['inputs'][number]): string {
  const unpacked = unpack === true ? ', unpacked' : '';
  if (resource !== undefined) return `${resource.type}:${resource.uuid}${unpacked}`;
  if (bucket !== undefined) return `bucket:${bucket.connection}/${bucket.prefix}`;
  return `${humanBytes(bytes)} in the order${unpacked}`;
}

function placeFields({ queue }: OrderView): [string, string | undefined][] {
  if (queue === undefined) return [];
  const start = queue.expected_start === undefined ? undefined : `about ${localTime(queue.expected_start)}`;
  return [
    ['place', String(queue.place)],
    ['starts', start],
    ['', oneLine(queue.basis, 300)],
  ];
}

function scoreFields(performance: Performance | undefined): [string, string | undefined][] {
  return [
    ['train perf', listScores(performance?.train_perf)],
    ['test perf', listScores(performance?.test_perf)],
  ];
}

function listScores(scores: Readonly<Record<string, number>> | undefined): string | undefined {
  const entries = Object.entries(scores ?? {});
  if (entries.length === 0) return undefined;
  return entries.map(([id, score]) => `${scoreText(score)}  ${oneLine(id, 40)}`).join(`\n${' '.repeat(12)}`);
}

/** How many calls of the same owner a warm runner had answered before it did a step; undefined where none did it. */
export function reusedText(reused: number | undefined): string | undefined {
  return reused === undefined ? undefined : `warm, after ${counted(reused, 'call')}`;
}

function attemptLines(paint: Paint, attempt: OrderView['attempts'][number]): string[] {
  const took = secondsBetween(attempt.started_at, attempt.ended_at);
  const ended = `${attempt.outcome ?? 'running'}${took === undefined ? '' : ` after ${humanSeconds(took)}`}`;
  const worker = oneLine(attempt.worker, 36);
  const lines = [
    `${paint('bold', `attempt ${attempt.attempt}`)}  ${localTime(attempt.started_at)}, ${ended}, worker ${worker}`,
  ];
  for (const record of attempt.steps) {
    const facts = [
      humanSeconds(record.seconds),
      record.cached === true ? 'cached' : undefined,
      reusedText(record.reused),
      record.peak_memory_bytes === undefined ? undefined : `peak ${humanBytes(record.peak_memory_bytes)}`,
      record.cpu_seconds === undefined ? undefined : `${humanSeconds(record.cpu_seconds)} of CPU`,
      (record.exit_code ?? 0) === 0 ? undefined : paint('red', `exit code ${record.exit_code}`),
    ].filter((fact) => fact !== undefined);
    lines.push(`  ${record.step.padEnd(10)}${facts.join(', ')}`);
  }
  if (attempt.failure !== undefined) lines.push(`  ${paint('red', failureLine(attempt.failure))}`);
  return lines;
}
