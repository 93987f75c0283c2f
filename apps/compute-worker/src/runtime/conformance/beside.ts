import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '@morpheo/common';
import type { TestFn } from 'ava';
import type { LiveRun } from '../index.ts';
import { eventually, openFixture, type RuntimeHarness } from './runtime-fixture.ts';

/** What lies at a path: a line for each entry, with its content. */
async function seen(run: LiveRun, path: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const file of run.read(path)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of file.bytes()) chunks.push(chunk);
    lines.push(`${file.path} ${file.kind}${file.executable ? ' x' : ''} ${Buffer.concat(chunks)}`.trim());
  }
  return lines.toSorted((a, b) => (a < b ? -1 : 1));
}

/** What may be done beside a run. */
export function testBeside(harness: RuntimeHarness, test: TestFn): void {
  const { name } = harness;

  test.serial(
    `${name}: What a run writes is read while it goes on, and once more when it is over [R39] [R40]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const outputs = await fixture.mount('/outputs');
      const nested = await fixture.mount('/state/of/it');
      const inputs = await fixture.mount('/inputs', true);
      await writeFile(join(inputs.host, 'in'), 'in');
      const sh = `cd "$2"; ln -s /etc/passwd link; mkfifo fifo; mkdir -p a/b; printf 1 > a/b/file; ln a/b/file twice
        chmod 755 a/b/file; printf 'one\n' > log; echo ready; echo state > "$3/now"; sleep 1000`;
      const stop = new AbortController();
      const after: string[] = [];
      let during: string[] = [];
      const beside = async (run: LiveRun) => {
        t.throws(() => run.read('/inputs/in'), { message: /writes to no mount/ });
        t.deepEqual(await seen(run, '/outputs/none'), []);
        await eventually('it has written', async () =>
          (await seen(run, '/state/of/it')).includes('now file state'),
        );
        during = await seen(run, '/outputs');
        for await (const file of run.read('/outputs/log')) {
          const [rest] = await Array.fromAsync(file.bytes(2));
          t.is(String(rest), 'e\n');
        }
        t.is(run.exitCode, undefined);
        stop.abort(new Error('Enough'));
        await eventually('it is over', () => run.over.aborted);
        after.push(...(await seen(run, '/outputs/a')));
        await sleep(50);
        after.push('and the run has waited');
      };
      const args = ['/outputs', '/state/of/it'];
      const run = { args, mounts: [outputs, nested, inputs], signal: stop.signal, beside };
      await t.throwsAsync(fixture.run({ sh }, run), { message: 'Enough' });
      const links = ['fifo other', 'link other', 'twice file x 1'];
      t.deepEqual(during, [
        'a folder',
        'a/b folder',
        'a/b/file file x 1',
        ...links.slice(0, 2),
        'log file one',
        links[2] ?? '',
      ]);
      t.deepEqual(after, ['b folder', 'b/file file x 1', 'and the run has waited']);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(
    `${name}: Who works beside a run hears how it ended, and what fails there ends it [R40] [R41]`,
    async (t) => {
      await using fixture = await openFixture(harness);
      const context = await fixture.program({ sh: 'exit "$2"' });
      let ended: number | undefined;
      const beside = async (run: LiveRun) => {
        await eventually('it is over', () => run.over.aborted);
        ended = run.exitCode;
      };
      t.is((await fixture.run(context, { args: ['3'], beside })).exitCode, 3);
      t.is(ended, 3);
      const lost = new Error('It cannot go on');
      const failing = fixture.run({ sh: 'sleep 1000' }, { beside: () => Promise.reject(lost) });
      t.is(await t.throwsAsync(failing), lost);
      t.deepEqual(await fixture.leftovers(), []);
    },
  );

  test.serial(`${name}: What a run wrote is there though it was stopped [R42]`, async (t) => {
    await using fixture = await openFixture(harness);
    const outputs = await fixture.mount('/outputs');
    const sh = 'echo here > "$2/file"; echo ready; sleep 1000';
    const limits = { wallMs: 3000 };
    const result = await fixture.run({ sh }, { args: ['/outputs'], mounts: [outputs], limits });
    t.is(result.ended, 'timed_out');
    t.true(result.stdout !== 'ready\n' || existsSync(join(outputs.host, 'file')));
  });
}
