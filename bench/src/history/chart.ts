import { svgText } from '../figures.ts';
import { formatValue } from '../report.ts';
import type { HistoryEntry } from './history.ts';

const WIDTH = 760;
const LEFT = 60;
const RIGHT = 90;
const PANEL = { height: 84, gap: 46 };

type Aimed = HistoryEntry['aims'][number];

/** How one aim was met, commit after commit. */
interface Line {
  readonly bench: string;
  readonly what: string;
  readonly points: readonly { readonly entry: HistoryEntry; readonly aim: Aimed; readonly met: number }[];
}

/**
 * Draws how each aim was met over the commits of a history (SVG), of one machine and size: a panel an aim, a point a run, 1 is
 * the aim, and above it is better. Where a history has several machines or sizes it is that of the last entry.
 */
export function drawHistory(history: readonly HistoryEntry[]): string {
  const last = history.at(-1);
  const same = history.filter(({ machine, size }) => machine === last?.machine && size === last.size);
  const lines = linesOf(same);
  const parts: string[] = [];
  let y = 24;
  for (const line of lines) {
    parts.push(svgText(0, y, `${line.bench}: ${line.what}`, 'font-weight="bold"'));
    parts.push(...drawPanel(line, y + 10));
    y += 10 + PANEL.height + PANEL.gap;
  }
  const about = last === undefined ? 'Nothing was measured yet.' : `${last.machine}; size ${last.size}`;
  parts.push(svgText(0, y, about, 'fill-opacity="0.7"'));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 ${WIDTH + 24} ${y + 12}" font-family="sans-serif" font-size="12">`,
    `<rect x="-12" width="${WIDTH + 24}" height="${y + 12}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** How far an aim was met: 1 is just so, 2 twice as well. */
function metBy({ measured, least, most }: Aimed): number {
  if (least !== undefined) return least === 0 ? 1 : measured / least;
  if (most !== undefined) return measured === 0 ? 1 : most / measured;
  return 1;
}

function linesOf(history: readonly HistoryEntry[]): Line[] {
  const lines = new Map<string, Line['points'][number][]>();
  for (const entry of history) {
    for (const aim of entry.aims) {
      const key = JSON.stringify([entry.bench, aim.what]);
      const points = lines.get(key) ?? [];
      points.push({ entry, aim, met: metBy(aim) });
      lines.set(key, points);
    }
  }
  return [...lines.values()].flatMap((points) => {
    const [first] = points;
    return first === undefined ? [] : [{ bench: first.entry.bench, what: first.aim.what, points }];
  });
}

function drawPanel({ points }: Line, top: number): string[] {
  const most = Math.max(1.25, ...points.map(({ met }) => met * 1.1));
  const bottom = top + PANEL.height;
  const heightOf = (met: number) => bottom - (met / most) * PANEL.height;
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, points.length - 1);
  const at = points.map(({ met }, index) => ({ x: LEFT + index * step, y: heightOf(met) }));
  const every = Math.max(1, Math.ceil(70 / step));
  const path = at.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`);
  const aim = heightOf(1).toFixed(1);
  const parts = [
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${bottom}" y2="${bottom}" stroke="#b0b0b0"/>`,
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${aim}" y2="${aim}" stroke="#b04a2f" stroke-dasharray="4 3"/>`,
    svgText(LEFT - 8, heightOf(1) + 4, 'aim', 'text-anchor="end"'),
    `<path d="${path.join(' ')}" fill="none" stroke="#2f6f8f" stroke-width="1.5"/>`,
  ];
  for (const [index, { x, y }] of at.entries()) {
    parts.push(`<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3" fill="#2f6f8f"/>`);
    const isLast = index === at.length - 1;
    const point = points[index];
    if (point === undefined) continue;
    if (isLast) parts.push(svgText(x + 8, y + 4, formatValue(point.aim.measured), ''));
    if (isLast || (index % every === 0 && at.length - 1 - index >= every))
      parts.push(svgText(x, bottom + 15, point.entry.commit.slice(0, 8), 'text-anchor="middle"'));
  }
  return parts;
}
