import { KIND_NAMES, type OrderSummary, parseImageReference } from '@morpheo/common';
import { type Column, idShortener, layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { humanSeconds, localTime, oneLine, secondsBetween } from '../terminal/text.ts';
import { paintStatus, scoreText } from './order-text.ts';

const COLUMNS: readonly Column[] = [
  { title: 'order' },
  { title: 'kind' },
  { title: 'rank', align: 'right' },
  { title: 'algo' },
  { title: 'created' },
  { title: 'took', align: 'right' },
  { title: 'status' },
  { title: 'outcome' },
];

/** Orders as a table; ids are cut to what tells them apart. Without `head` for the pages after the first. */
export function orderTable(paint: Paint, orders: readonly OrderSummary[], head = true): string {
  const shortOrder = idShortener(orders.map((order) => order.id));
  const shortAlgo = idShortener(orders.map((order) => order.algo ?? ''));
  const rows = orders.map((order) => [
    shortOrder(order.id),
    order.kind.padEnd(7),
    order.rank === undefined ? '' : String(order.rank),
    (order.job?.image === undefined ? shortAlgo(order.algo ?? '') : imageName(order.job.image)).padEnd(8),
    localTime(order.created_at),
    tookText(order).padStart(8),
    paintStatus(paint, order.status) + ' '.repeat(9 - order.status.length),
    outcomeText(order),
  ]);
  return layOut(paint, COLUMNS, rows, head);
}

function tookText(order: OrderSummary): string {
  const seconds = secondsBetween(order.started_at, order.ended_at);
  return seconds === undefined ? '' : humanSeconds(seconds);
}

function outcomeText(order: OrderSummary): string {
  if (order.status === 'failed' && order.failure !== undefined) {
    const where = order.failure.step === undefined ? '' : ` in ${order.failure.step}`;
    return oneLine(`${order.failure.reason}${where}`, 60);
  }
  const performance = order.result?.performance;
  if (performance !== undefined) return `perf ${scoreText(performance.perf)}`;
  if (order.result === undefined) return '';
  return `${KIND_NAMES[order.kind].result} ${order.result.uuid.slice(0, 8)}`;
}

/** The last part of an image's name, and its tag. */
function imageName(image: string): string {
  const { repository, tag } = parseImageReference(image);
  return `${repository.split('/').at(-1)}${tag === undefined ? '' : `:${tag}`}`;
}
