import Table from 'cli-table3';
import type { Paint } from './terminal.ts';

/** A column: its title, and the side on which its cells stand. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

/**
 * Lays out rows in columns, two spaces apart and without lines, under their dimmed titles. Without `head` for the pages
 * of a list after the first. Widths count what is seen, not colour codes.
 */
export function layOut(
  paint: Paint,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  head = true,
): string {
  const table = new Table({
    ...(head ? { head: columns.map((column) => paint('dim', column.title)) } : {}),
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const SHORTEST_ID = 8;
const LONGEST_ID = 36;

/**
 * Cuts the ids of one listing to a common length, 8 characters or more, at which they still differ. A command takes
 * such a beginning in place of the id.
 */
export function idShortener(ids: Iterable<string>): (id: string) => string {
  const unique = [...new Set(ids)];
  let length = SHORTEST_ID;
  while (length < LONGEST_ID && new Set(unique.map((id) => id.slice(0, length))).size < unique.length)
    length += 1;
  return (id) => id.slice(0, length).replace(/-$/, '');
}
