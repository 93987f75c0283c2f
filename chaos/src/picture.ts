import type { Sample } from './progress.ts';
import type { Fault } from './trouble.ts';

/** What a picture of a run shows. */
export interface Course {
  /** What the run was, in a line. */
  readonly title: string;
  readonly samples: readonly Sample[];
  readonly faults: readonly Fault[];
}

const WIDTH = 960;
const LEFT = 230;
const RIGHT = 24;
const GRAPH = { top: 56, height: 180 };
const LANE = 18;
const STYLE = `text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #0f172a }
    .title { font-size: 15px; font-weight: 600 }
    .note { fill: #475569 }
    .end { text-anchor: end }
    .done { fill: none; stroke: #15803d; stroke-width: 2 }
    .open { fill: none; stroke: #94a3b8; stroke-width: 1.5 }
    .grid { stroke: #e2e8f0 }
    .fault { fill: #c2410c }`;

/** The course of a run as an SVG document: orders over time, and below them each fault for as long as it lasted. */
export function pictureOf({ title, samples, faults }: Course): string {
  const from = Math.min(...samples.map(({ at }) => at), ...faults.map(({ at }) => at));
  const to = Math.max(...samples.map(({ at }) => at), ...faults.map(({ mendedAt }) => mendedAt), from + 1);
  const x = (at: number): number => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const kinds = lanesOf(faults);
  const lanesTop = GRAPH.top + GRAPH.height + 40;
  const height = lanesTop + kinds.length * LANE + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}">
  <style>${STYLE}</style>
  <title>${escapeXml(title)}</title>
  <rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
  <text class="title" x="24" y="30">${escapeXml(title)}</text>
${[...timeAxis(from, to, x, height), ...graph(samples, x), ...lanes(kinds, lanesTop, x)].map((line) => `  ${line}`).join('\n')}
</svg>
`;
}

type Scale = (at: number) => number;
type Lane = readonly [kind: string, faults: readonly Fault[]];

/** The kinds of faults, the most frequent first. */
function lanesOf(faults: readonly Fault[]): Lane[] {
  const lanes = Map.groupBy(faults, ({ kind }) => kind);
  return [...lanes].toSorted(([, a], [, b]) => b.length - a.length);
}

function graph(samples: readonly Sample[], x: Scale): string[] {
  const most = Math.max(1, ...samples.map(({ done, open }) => Math.max(done, open)));
  const bottom = GRAPH.top + GRAPH.height;
  const y = (count: number): number => bottom - (count / most) * GRAPH.height;
  const line = (count: (sample: Sample) => number): string =>
    samples.map((sample) => `${round(x(sample.at))},${round(y(count(sample)))}`).join(' ');
  const last = samples.at(-1);
  return [
    `<text class="note end" x="${LEFT - 8}" y="${GRAPH.top + 8}">${most}</text>`,
    `<text class="note end" x="${LEFT - 8}" y="${bottom}">0</text>`,
    `<text x="24" y="${GRAPH.top + 60}" fill="#15803d">orders done: ${last?.done ?? 0}</text>`,
    `<text class="note" x="24" y="${GRAPH.top + 78}">orders and effects open</text>`,
    `<polyline class="open" points="${line(({ open }) => open)}"/>`,
    `<polyline class="done" points="${line(({ done }) => done)}"/>`,
  ];
}

function lanes(kinds: readonly Lane[], top: number, x: Scale): string[] {
  return kinds.flatMap(([kind, faults], index) => {
    const y = top + index * LANE;
    const bars = faults.map(({ at, mendedAt, target }) => {
      const width = Math.max(1.5, x(mendedAt) - x(at));
      const what = `<title>${escapeXml(`${kind}: ${target}`)}</title>`;
      return `<rect class="fault" x="${round(x(at))}" y="${y}" width="${round(width)}" height="${LANE - 6}" opacity="0.7">${what}</rect>`;
    });
    const name = `<text class="end" x="${LEFT - 8}" y="${y + 10}">${escapeXml(kind)} · ${faults.length}</text>`;
    return [name, ...bars];
  });
}

function timeAxis(from: number, to: number, x: Scale, height: number): string[] {
  const step = [10, 30, 60, 300, 600, 1800].find((seconds) => (to - from) / 1000 / seconds <= 12) ?? 3600;
  const marks = Array.from({ length: Math.floor((to - from) / 1000 / step) + 1 }, (_, index) => index * step);
  return marks.flatMap((seconds) => {
    const at = round(x(from + seconds * 1000));
    const label = step < 60 ? `${seconds} s` : `${seconds / 60} min`;
    return [
      `<line class="grid" x1="${at}" x2="${at}" y1="${GRAPH.top}" y2="${height - 16}"/>`,
      `<text class="note" x="${at}" y="${height - 4}">${label}</text>`,
    ];
  });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
