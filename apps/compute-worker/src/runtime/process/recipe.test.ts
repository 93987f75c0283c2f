import { isAbsolute } from 'node:path';
import { OrderFailure } from '@morpheo/common';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { readRecipe } from './recipe.ts';

const END = '\nENTRYPOINT ["node", "/app/main.js"]\n';

async function refused(t: ExecutionContext, text: string, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(readRecipe(text), { instanceOf: OrderFailure });
  t.is(error.failure.reason, 'build_failed');
  t.is(error.failure.file, 'Dockerfile');
  t.regex(error.message, message);
}

test('An ordinary Dockerfile gives all that it takes to run', async (t) => {
  const text =
    '# An algorithm\nFROM node:24-slim\nCOPY . /app\nWORKDIR /data\nENTRYPOINT ["node", "/app/main.js"]\n';
  const { copies, ...recipe } = await readRecipe(text);
  t.deepEqual(recipe, {
    entryPoint: ['node', '/app/main.js'],
    workingFolder: '/data',
    environment: {},
    runner: undefined,
    remarks: ['Dockerfile, line 2: node:24-slim is not used: the programs of this machine run.'],
  });
  t.is(copies.length, 1);
  t.like(copies[0], { line: 3, sources: ['.'], destination: '/app', intoFolder: false });
});

test('Only the last stage counts, and the last entry point', async (t) => {
  const text =
    'FROM y AS build\nENV A=1\nCOPY . /old\nENTRYPOINT ["old"]\nFROM x\nENTRYPOINT ["older"]\nENTRYPOINT ["new"]';
  const recipe = await readRecipe(text);
  t.deepEqual(recipe.entryPoint, ['new']);
  t.deepEqual(recipe.copies, []);
  t.deepEqual(recipe.environment, {});
});

test('A stage that starts from one of its own has what that has', async (t) => {
  const text = `FROM x AS base\nENV A=1\nWORKDIR /app\nCOPY . /app\nENTRYPOINT ["python3", "/app/main.py"]
    FROM base AS final\nENV B=$A`;
  const recipe = await readRecipe(text);
  t.like(recipe, { workingFolder: '/app', environment: { A: '1', B: '1' } });
  t.deepEqual(recipe.entryPoint, ['python3', '/app/main.py']);
  t.is(recipe.copies.length, 1);
});

test('A path in the text of a command is remarked, since it is not replaced', async (t) => {
  const remarks = async (entryPoint: readonly string[]) =>
    (await readRecipe(`FROM scratch\nCOPY . /app\nENTRYPOINT ${JSON.stringify(entryPoint)}`)).remarks;
  const [remark = '', ...others] = await remarks(['sh', '-c', 'cd /app && ./main "$@"', 'main']);
  t.regex(remark, /^Dockerfile, line 3: paths inside the text of a command are not replaced/);
  t.deepEqual(others, []);
  t.is((await remarks(['/bin/bash', '-ec', 'exec "/app/main"'])).length, 1);
  for (const plain of [
    ['sh', '-c', 'echo done'],
    ['sh', '/app/main.sh'],
    ['python3', '/app/main.py', '-c', '/x'],
  ])
    t.deepEqual(await remarks(plain), [], plain.join(' '));
});

test('Variables are replaced by what stands above them', async (t) => {
  const { environment, workingFolder, copies } = await readRecipe(`FROM x
    ARG DIR=app
    ARG UNSET
    ENV ROOT=/srv NAME="two words" UNKNOWN=[$NOT_THERE$UNSET]
    ENV LONG form of it
    ENV PATH=$ROOT/bin:$PATH PRICE=\\$5
    WORKDIR $ROOT
    WORKDIR \${DIR}
    COPY $DIR/ ./\${DIR}_copy${END}`);
  t.deepEqual(environment, {
    ROOT: '/srv',
    NAME: 'two words',
    UNKNOWN: '[]',
    LONG: 'form of it',
    PATH: '/srv/bin:$PATH',
    PRICE: '$5',
  });
  t.is(workingFolder, '/srv/app');
  t.is(copies[0]?.destination, '/srv/app/app_copy');
  t.deepEqual(copies[0]?.sources, ['app']);
});

test('Instructions that do not matter here are passed over', async (t) => {
  const text = `FROM x\nLABEL a=b\nEXPOSE 80\nHEALTHCHECK CMD true\nSTOPSIGNAL 9\nVOLUME /v\nCMD ["a"]\nSHELL ["sh"]${END}`;
  t.is((await readRecipe(text)).remarks.length, 2);
});

test('A line that is continued is one line', async (t) => {
  const { entryPoint } = await readRecipe(
    'FROM x\nENTRYPOINT ["node", \\\n  # a comment\n  "/app/main.js"]\n',
  );
  t.deepEqual(entryPoint, ['node', '/app/main.js']);
});

const BROKEN: Record<string, [string, RegExp]> = {
  'The shell form of an entry point': [
    'FROM x\nENTRYPOINT node main.js',
    /line 2: The ENTRYPOINT is in the shell form: write it in the exec form/,
  ],
  'An entry point that is no JSON': [
    `FROM x\nENTRYPOINT ['node']`,
    /line 2: The ENTRYPOINT is not a JSON list/,
  ],
  'An entry point of nothing': ['FROM x\nENTRYPOINT []', /names no program/],
  'An entry point with other things than strings': [
    'FROM x\nENTRYPOINT ["a", 1]',
    /not a JSON list of strings/,
  ],
  'A file of an earlier stage': [
    `FROM y AS build\nFROM x\nCOPY --from=build /a /b${END}`,
    /line 3: COPY --from cannot be done/,
  ],
  'A file of the network': [`FROM x\nADD https://example.org/x /x${END}`, /would need the network/],
  'A here-document': [`FROM x\nCOPY <<EOF /x\nhello\nEOF${END}`, /here-document/],
  'A file outside of the archive': [
    `FROM x\nCOPY ../secret /x${END}`,
    /line 2: COPY \.\.\/secret lies outside/,
  ],
  'A copy to nowhere': [`FROM x\nCOPY .${END}`, /needs what to copy and where to/],
  'A variable as only newer shells have it': [`FROM x\nWORKDIR \${A#/b}`, /line 2: .*\$NAME/],
  'Variables without end': [
    `FROM x\n${Array.from({ length: 101 }, (_, i) => `ENV A${i}=1`).join('\n')}${END}`,
    /too many/,
  ],
  'Variables that double': [
    `FROM x\nENV A0=${'x'.repeat(1000)}\n${Array.from({ length: 40 }, (_, i) => `ENV A${i + 1}=$A${i}$A${i}`).join('\n')}${END}`,
    /32768 bytes/,
  ],
};
for (const [title, [text, message]] of Object.entries(BROKEN)) {
  test(`${title} fails to build, naming the line`, async (t) => await refused(t, text, message));
}

test('Whatever a Dockerfile holds, it is read or refused', async (t) => {
  const word = fc.constantFrom(
    'FROM',
    'x',
    'COPY',
    'ENV',
    'A=1',
    '$A',
    '${',
    '["a"]',
    '<<E',
    '\\',
    '"',
    '..',
    '/',
    '--from=a',
    '[',
    '#',
    '=',
  );
  const line = fc
    .array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 5 })
    .map((words) => words.join(' '));
  const keyword = fc.constantFrom(
    'FROM x',
    'COPY',
    'ADD',
    'ENV',
    'ARG',
    'WORKDIR',
    'ENTRYPOINT',
    'RUN',
    '# escape=`',
    '',
  );
  const text = fc
    .array(fc.tuple(keyword, line), { maxLength: 8 })
    .map((lines) => `FROM x\n${lines.map((parts) => parts.join(' ')).join('\n')}${END}`);
  await fc.assert(
    fc.asyncProperty(text, async (text) => {
      try {
        const { copies, workingFolder } = await readRecipe(text);
        for (const copy of copies) {
          t.true(isAbsolute(copy.destination));
          t.false(copy.sources.some((source) => isAbsolute(source) || source.split('/').includes('..')));
        }
        t.true(workingFolder === undefined || isAbsolute(workingFolder));
      } catch (error) {
        if (!(error instanceof OrderFailure)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});
