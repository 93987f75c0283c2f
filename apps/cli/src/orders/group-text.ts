import {
  type GroupCounts,
  type GroupedOrder,
  hasEnded,
  ORDER_STATUSES,
  type OrderGroup,
  type OrderGroupView,
  type OrderStatus,
} from '@morpheo/common';
import { type Column, layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { clockTime, counted, humanSeconds, localTime, oneLine, secondsBetween } from '../terminal/text.ts';
import { paintStatus, scoreText } from './order-text.ts';

const COLUMNS: readonly Column[] = [
  { title: 'group' },
  { title: 'owner' },
  { title: 'created' },
  { title: 'orders', align: 'right' },
  ...ORDER_STATUSES.map((title) => ({ title, align: 'right' }) as const),
];

/** Groups as a table. Without `head` for the pages after the first. */
export function groupTable(paint: Paint, groups: readonly OrderGroup[], head = true): string {
  const rows = groups.map(({ name, owner, created_at, orders, counts }) => [
    paint('bold', name),
    oneLine(owner, 40),
    localTime(created_at),
    String(orders),
    ...ORDER_STATUSES.map((status) => (counts[status] === 0 ? '' : String(counts[status]))),
  ]);
  return layOut(paint, COLUMNS, rows, head);
}

/** How the orders of a group stand, in one line: `3 orders: 1 pending, 2 done`. */
export function countsLine(paint: Paint, { orders, counts }: Pick<OrderGroup, 'orders' | 'counts'>): string {
  const states = ORDER_STATUSES.filter((status) => counts[status] > 0);
  const parts = states.map((status) => `${counts[status]} ${paintStatus(paint, status)}`);
  return `${counted(orders, 'order')}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`;
}

/** A group, for people. */
export function groupText(paint: Paint, group: OrderGroupView): string {
  const { name, owner, asked, best, failures, created_at, last_created_at, ended_at } = group;
  const took = secondsBetween(created_at, ended_at);
  const one = best.length === 1;
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['group', paint('bold', name)],
    ['owner', oneLine(owner, 100)],
    ['orders', countsLine(paint, group)],
    ['asked', asked === undefined ? undefined : askedText(asked)],
    ...best.map(({ workflow, score, order }): [string, string] => [
      'best',
      `perf ${scoreText(score)}, order ${order}${one ? '' : `, problem ${workflow}`}`,
    ]),
    ...Object.entries(failures).map(([reason, n]): [string, string] => ['failed', `${n} with ${reason}`]),
    ['created', localTime(created_at)],
    ['last order', last_created_at === undefined ? undefined : localTime(last_created_at)],
    ['ended', ended_at === undefined ? undefined : localTime(ended_at)],
    ['took', took === undefined ? undefined : humanSeconds(took)],
  ];
  return fields
    .filter((field): field is [string, string] => field[1] !== undefined)
    .map(([title, value]) => `${paint('dim', title.padEnd(12))}${value}`)
    .join('\n');
}

function askedText({ what, by, at, under_way }: NonNullable<OrderGroup['asked']>): string {
  return `to ${what}, by ${oneLine(by, 100)} at ${localTime(at)}${under_way ? ', which goes on' : ''}`;
}

/** How far a group is: of so many orders so many have ended. */
export interface GroupProgress {
  readonly ended: number;
  readonly orders: number;
}

/** How many orders there are, and how many of them have ended. */
export function progressOf(counts: GroupCounts): GroupProgress {
  const sum = (statuses: readonly OrderStatus[]) => statuses.reduce((all, one) => all + counts[one], 0);
  return { ended: sum(ORDER_STATUSES.filter(hasEnded)), orders: sum(ORDER_STATUSES) };
}

/** An order of a watched group that has ended, as one line: local time, how far the group is, which order, how. */
export function endedLine(paint: Paint, one: GroupedOrder, { ended, orders }: GroupProgress): string {
  const { order, status, score, reason } = one;
  const how =
    score !== undefined ? `  perf ${scoreText(score)}` : status === 'failed' ? `  ${reason ?? ''}` : '';
  const far = `${String(ended).padStart(String(orders).length)}/${orders}`;
  const now = clockTime(new Date().toISOString());
  return `${paint('dim', `${now} ${far}`)}  ${order}  ${paintStatus(paint, status)}${how}`;
}
