import type { OrderStatus } from '@morpheo/common';
import type { Look, Paint } from '../terminal/terminal.ts';

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
