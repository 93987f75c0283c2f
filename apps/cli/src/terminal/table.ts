import Table from 'cli-table3';

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
 * Lays out rows in columns, two spaces apart and without lines. `styleHead` paints the titles; no `head` is written
 * where it is false, for the pages of a list after the first. Widths count what is seen, not colour codes.
 */
export function layOut(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { readonly styleHead?: (title: string) => string; readonly head?: boolean } = {},
): string {
  const style = options.styleHead ?? ((title: string) => title);
  const table = new Table({
    ...(options.head === false ? {} : { head: columns.map((column) => style(column.title)) }),
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
