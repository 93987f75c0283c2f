import { writeFile } from 'node:fs/promises';
import type { Report } from './src/bench.ts';
import { drawFigures } from './src/figures.ts';
import { drawHistory } from './src/history/chart.ts';
import { addToHistory, occasionOf, readHistory } from './src/history/history.ts';
import { HELP, readOptions } from './src/options.ts';
import { toText } from './src/report.ts';
import { runBenches } from './src/run-benches.ts';

const options = readOptions(process.argv.slice(2));
if (options.help) {
  process.stdout.write(HELP);
} else {
  const reports: Report[] = [];
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  for await (const report of runBenches({ ...options, say })) {
    reports.push(report);
    if (!options.json) process.stdout.write(`${toText(report)}\n`);
  }
  if (options.json) process.stdout.write(`${JSON.stringify(reports, undefined, 2)}\n`);
  if (options.svg) await writeFile(new URL('figures.svg', import.meta.url), drawFigures(reports));
  if (options.history) {
    const history = new URL('history.jsonl', import.meta.url);
    await addToHistory(history, await occasionOf(options.size), reports);
    await writeFile(new URL('history.svg', import.meta.url), drawHistory(await readHistory(history)));
  }
}
