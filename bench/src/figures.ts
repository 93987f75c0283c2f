import type { Bar, Report } from './bench.ts';
import { formatValue } from './report.ts';

const WIDTH = 760;
const LABEL_WIDTH = 290;
const VALUE_WIDTH = 110;
const LINE = 20;
const GAP = 34;

/** Draws the bars of all reports into one picture (SVG), each report on a scale of its own. Grey is the plain tool. */
export function drawFigures(reports: readonly Report[]): string {
  const parts: string[] = [];
  let y = 24;
  for (const { name, title, bars } of reports) {
    parts.push(svgText(0, y, `${name}: ${title}`, 'font-weight="bold"'));
    y += 8;
    const longest = Math.max(...bars.map(({ value }) => value));
    for (const bar of bars) {
      parts.push(...drawBar(bar, y, longest));
      y += LINE;
    }
    y += GAP;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 ${WIDTH + 24} ${y}" font-family="sans-serif" font-size="12">`,
    `<rect x="-12" width="${WIDTH + 24}" height="${y}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function drawBar({ label, value, unit, plain }: Bar, y: number, longest: number): string[] {
  const length = Math.max(1, (value / longest) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH));
  const middle = y + LINE - 6;
  return [
    svgText(LABEL_WIDTH - 8, middle, label, 'text-anchor="end"'),
    `<rect x="${LABEL_WIDTH}" y="${y + 4}" width="${length.toFixed(1)}" height="${LINE - 6}" fill="${plain ? '#b0b0b0' : '#2f6f8f'}"/>`,
    svgText(LABEL_WIDTH + length + 6, middle, `${formatValue(value)} ${unit}`, ''),
  ];
}

/** A text of a picture (SVG) at a place, with these further attributes; what it says is escaped. */
export function svgText(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="#222222" ${attributes}>${escaped}</text>`;
}
