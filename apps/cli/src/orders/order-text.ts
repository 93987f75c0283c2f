import type { OrderSummary, OrderView, Performance } from '@morpheo/common';
import { humanBytes, humanSeconds, localTime, secondsBetween } from '../terminal/human.ts';
import { oneLine } from '../terminal/plain.ts';
import type { Paint } from '../terminal/terminal.ts';
import { failureLine, failureText } from './failure-text.ts';
import { paintStatus } from './status-look.ts';

/** An order with its attempts, for people. */
export function orderText(paint: Paint, order: OrderView): string {
  const lines = fieldsOf(paint, order)
    .filter((field): field is [string, string] => field[1] !== undefined)
    .map(([name, value]) => `${paint('dim', name.padEnd(12))}${value}`);
  for (const attempt of order.attempts) lines.push('', ...attemptLines(paint, attempt));
  if (order.failure !== undefined) lines.push('', failureText(paint, order.failure));
  return lines.join('\n');
}

/** What an order brought, in one line: the scores and the model, or the prediction; undefined while there is nothing. */
export function resultLine(order: OrderSummary): string | undefined {
  const { result } = order;
  if (result === undefined) return undefined;
  const noun = order.kind === 'learn' ? 'model' : 'prediction';
  const scores = result.performance === undefined ? '' : `perf ${scoreText(result.performance.perf)}, `;
  return `${scores}${noun} ${result.uuid}, ${humanBytes(result.size)}`;
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
    ['gpus', order.gpus === 0 ? undefined : String(order.gpus)],
    ['owner', oneLine(order.owner, 100)],
    ['priority', order.priority === 0 ? undefined : String(order.priority)],
    ...placeFields(order),
    ['data', order.data],
    ['train data', order.train_data?.join(`\n${' '.repeat(12)}`)],
    ['test data', order.test_data?.join(`\n${' '.repeat(12)}`)],
    ['created', localTime(order.created_at)],
    ['started', order.started_at === undefined ? undefined : localTime(order.started_at)],
    ['ended', order.ended_at === undefined ? undefined : localTime(order.ended_at)],
    ['took', took === undefined ? undefined : humanSeconds(took)],
  ];
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
      record.cached === true ? 'found done' : undefined,
      record.peak_memory_bytes === undefined ? undefined : `peak ${humanBytes(record.peak_memory_bytes)}`,
      record.cpu_seconds === undefined ? undefined : `${humanSeconds(record.cpu_seconds)} of CPU`,
      (record.exit_code ?? 0) === 0 ? undefined : paint('red', `exit code ${record.exit_code}`),
    ].filter((fact) => fact !== undefined);
    lines.push(`  ${record.step.padEnd(10)}${facts.join(', ')}`);
  }
  if (attempt.failure !== undefined) lines.push(`  ${paint('red', failureLine(attempt.failure))}`);
  return lines;
}
