import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import type { OutputChunk } from '../../runtime/index.ts';
import { CallFailed } from '../errors.ts';
import { type ContractHarness, gathered, openContract } from './contract-fixture.ts';

const EXAMPLES = join(import.meta.dirname, '../../../../../examples/runners');

/** The contract of runners (docs/runners.md), for programs that keep it; every runtime that has runners runs it. */
export function testRunnerContract(harness: ContractHarness, test: TestFn): void {
  const { name } = harness;

  test.serial(`${name}: A runner is started once, and answers calls with files of their own`, async (t) => {
    await using contract = await openContract(harness);
    const model = join(contract.folder, 'model');
    await mkdir(model);
    await writeFile(join(model, 'weights'), 'loaded');
    const mounts = [{ host: model, container: '/data/model', readOnly: true }];
    const plan = await contract.plan({ mounts, environment: { MODEL: '/data/model' } });
    const program = `keeps.model ??= fs.readFileSync(process.env.MODEL + '/weights', 'utf8');
      keeps.calls = (keeps.calls ?? 0) + 1;
      fs.writeFileSync(outputs + '/answer', [keeps.model, keeps.calls, fs.readdirSync(inputs)].join(' '));`;
    const results = [];
    for (let call = 0; call < 3; call += 1) results.push(await contract.obey(plan, program));
    t.deepEqual(
      results.map(({ value, reused }) => `${value} ${reused}`),
      ['loaded 1 program 0', 'loaded 2 program 1', 'loaded 3 program 2'],
    );
    t.is(new Set(results.map(({ runner }) => runner)).size, 1);
    t.is(await readFile(join(model, 'weights'), 'utf8'), 'loaded');
  });

  test.serial(`${name}: A runner has as many calls at a time as its image takes`, async (t) => {
    await using contract = await openContract(harness);
    const plan = await contract.plan({ maxBatch: 3, environment: { MAX: '8' } });
    // Each waits for all: alone it would never answer.
    const program = `keeps.together = (keeps.together ?? 0) + 1;
      while (keeps.together < 3) await new Promise((resolve) => setTimeout(resolve, 5));
      fs.writeFileSync(outputs + '/answer', String(keeps.together));`;
    await contract.obey(plan, 'keeps.together = 0');
    const all = await Promise.all([1, 2, 3].map(() => contract.obey(plan, program)));
    t.deepEqual(
      all.map(({ value }) => value),
      ['3', '3', '3'],
    );
  });

  test.serial(
    `${name}: What is printed while a call is under way is its log, and never an answer`,
    async (t) => {
      await using contract = await openContract(harness);
      const plan = await contract.plan({ maxBatch: 2, environment: { MAX: '2', PIPELINED: 'yes' } });
      for (const said of ['{"id":"none","ok":true}', 'two\nlines']) {
        const [log, other] = [gathered(), gathered()];
        const came = Promise.withResolvers<void>();
        const onOutput = async (chunk: OutputChunk) => {
          await log.onOutput(chunk);
          if (log.text === `${said}\n`) came.resolve();
        };
        const program = `keeps.go = Promise.withResolvers(); console.log(${JSON.stringify(said)}); await keeps.go.promise`;
        const printing = contract.obey(plan, program, { onOutput });
        await Promise.race([came.promise, printing]);
        await contract.obey(plan, 'keeps.go.resolve()', other);
        t.is((await printing).value, '');
        t.deepEqual([log.text, other.text], [`${said}\n`, '']);
      }
    },
  );

  test.serial(
    `${name}: A call fails with what its program says, and the next has a runner of its own`,
    async (t) => {
      await using contract = await openContract(harness);
      const plan = await contract.plan();
      const first = await contract.obey(plan, '');
      const program = `return { id, ok: false, message: 'no digits', type: 'ValueError', traceback: 'line 3' }`;
      const error = await t.throwsAsync(contract.obey(plan, program), { instanceOf: CallFailed });
      t.like(error, { message: 'no digits', type: 'ValueError', traceback: 'line 3' });
      const next = await contract.obey(plan, '');
      t.is(next.reused, 0);
      t.not(next.runner, first.runner);
    },
  );

  for (const language of ['javascript', 'python'] as const) {
    test.serial(`${name}: The example in ${language} keeps the contract`, async (t) => {
      await using contract = await openContract(harness);
      const plan = await contract.plan({ context: join(EXAMPLES, language) });
      const rate = async (text: string) =>
        await contract.runners.call({
          plan,
          fill: async (inputs) => await writeFile(join(inputs, 'letter'), text),
          take: async (outputs) => JSON.parse(await readFile(join(outputs, 'letter'), 'utf8')),
          signal: new AbortController().signal,
        });
      t.deepEqual((await rate('Great work, but slow.')).value, { score: 1, words: 4 });
      const all = await Promise.all(['good', 'bad', 'fine'].map(rate));
      t.deepEqual(
        all.map(({ value: { score } }) => score),
        [1, -2, 1],
      );
      t.is(new Set(all.map(({ runner }) => runner)).size, 1);
      const error = await t.throwsAsync(rate('1234'), { instanceOf: CallFailed });
      t.is(error.message, 'There are no words in letter.');
      t.regex(error.traceback ?? '', /main\.(mjs|py)/);
    });
  }
}
