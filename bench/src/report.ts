import Table from 'cli-table3';
import { type Aim, isReached, type Report } from './bench.ts';

/** A report as a person reads it: a table, what was aimed at, and what to know. */
export function toText(report: Report): string {
  const headings = Object.keys(report.rows[0] ?? {});
  const table = new Table({
    head: headings,
    colAligns: headings.map((heading) => (isText(report, heading) ? 'left' : 'right')),
    style: { head: [], border: [] },
  });
  for (const row of report.rows) table.push(headings.map((heading) => formatValue(row[heading] ?? '')));
  return [
    `${report.name}: ${report.title}`,
    table.toString(),
    ...report.aims.map(aimText),
    ...report.notes.map((note) => `- ${note}`),
    '',
  ].join('\n');
}

/** Three digits that count, and thousands apart. */
export function formatValue(value: string | number): string {
  if (typeof value === 'string') return value;
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function isText({ rows }: Report, heading: string): boolean {
  return rows.some((row) => typeof row[heading] === 'string');
}

function aimText(aim: Aim): string {
  const { what, measured, least, most } = aim;
  const bounds = [
    ...(least === undefined ? [] : [`at least ${formatValue(least)}`]),
    ...(most === undefined ? [] : [`at most ${formatValue(most)}`]),
  ];
  const verdict = isReached(aim) ? 'reached' : 'not reached';
  return `Aim: ${what} ${bounds.join(' and ')}; measured ${formatValue(measured)}: ${verdict}.`;
}
