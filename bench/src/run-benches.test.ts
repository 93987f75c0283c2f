import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withParts } from '@morpheo/real-parts';
import test from 'ava';
import { drawFigures } from './figures.ts';
import { toText } from './report.ts';
import { BENCHES, runBenches } from './run-benches.ts';

for (const { name, parts = [] } of BENCHES) {
  withParts(test, ...parts)(`${name} runs, finds everything right and leaves nothing`, async (t) => {
    t.timeout(180_000);
    await using folder = await mkdtempDisposable(join(tmpdir(), 'bench-test-'));
    const how = { size: 'tiny', folder: folder.path, say: (line: string) => t.log(line) } as const;
    const reports = await Array.fromAsync(runBenches({ ...how, only: [name] }));
    t.deepEqual(
      reports.map((report) => report.name),
      [name],
    );
    const [report] = reports;
    const figures = report?.rows.flatMap(Object.values).filter((value) => typeof value === 'number') ?? [];
    t.true(figures.length > 2);
    t.true(figures.every(Number.isFinite), toText(report ?? t.fail()));
    t.regex(drawFigures(reports), /^<svg [\s\S]*<\/svg>\n$/);
    t.deepEqual(await readdir(folder.path), []);
  });
}

test('A benchmark that is not there is refused by name', async (t) => {
  const run = runBenches({ only: ['nothing'], size: 'tiny', folder: tmpdir(), say: () => {} });
  await t.throwsAsync(run.next(), { message: /no benchmark nothing; there are .*listing/ });
});
