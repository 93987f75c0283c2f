import { readFile } from 'node:fs/promises';
import { OrderFailure } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { parseDockerfile } from './parse.ts';

function refusal(text: string): string {
  try {
    parseDockerfile(text);
  } catch (error) {
    if (error instanceof OrderFailure && error.failure.reason === 'build_failed') return error.message;
    throw error;
  }
  return 'accepted';
}

const kindsOf = (text: string) =>
  parseDockerfile(text).instructions.map(({ kind, line }) => `${line} ${kind}`);

test('An instruction is read whatever its case, and comments and empty lines are nothing', (t) => {
  t.deepEqual(kindsOf('\uFEFF# one\r\nfrom x\r\n\r\n  # two\r\n\tRun true\r\n'), ['2 FROM', '5 RUN']);
});

test('Lines that are continued are one, also over comments and empty lines', (t) => {
  const { instructions } = parseDockerfile(
    'FROM x\nRUN a \\\n  # comment\n\n  b \\  \n  c\nENTRYPOINT ["d"]',
  );
  t.like(instructions[1], { line: 2, command: { form: 'shell', text: 'a   b   c' } });
  t.like(instructions[2], { line: 7, command: { words: ['d'] } });
});

test('The mark that continues lines may be another one', (t) => {
  const { instructions, escapeMark } = parseDockerfile('# escape=`\nFROM x\nRUN dir C:\\ `\n  /b');
  t.is(escapeMark, '`');
  t.like(instructions[1], { command: { text: 'dir C:\\   /b' } });
  t.regex(refusal('# escape=x\nFROM x'), /line 1: # escape= must name/);
  t.regex(refusal('# escape=`\n# escape=`\nFROM x'), /line 2: .*stands twice/);
  t.is(parseDockerfile('# no directive\n# escape=`\nFROM x').escapeMark, '\\');
});

test("The seeds' own Dockerfile is taken", (t) => {
  const text = `FROM ubuntu:16.04
    MAINTAINER The team <team@example.org>
    RUN apt-get update && apt-get install -y \\
        git \\
        wget
    EXPOSE 8888
    ENTRYPOINT ["python3", "/app/main.py"]`;
  t.deepEqual(kindsOf(text), ['1 FROM', '2 MAINTAINER', '3 RUN', '6 EXPOSE', '7 ENTRYPOINT']);
});

test('What is no JSON list of strings is the shell form, as with Docker', (t) => {
  for (const [written, expected] of [
    ['["a", "b"]', { form: 'exec', words: ['a', 'b'] }],
    ['["a","\\u0062"]', { form: 'exec', words: ['a', 'b'] }],
    ['[ -f /x ] && y', { form: 'shell', text: '[ -f /x ] && y' }],
    ["['a']", { form: 'shell', text: "['a']" }],
    ['["a"] && b', { form: 'shell', text: '["a"] && b' }],
  ] as const) {
    t.like(parseDockerfile(`FROM x\nRUN ${written}`).instructions[1], { command: expected }, written);
  }
  t.regex(refusal('FROM x\nRUN ["a", 1]'), /line 2: .*is not a JSON list of strings/);
  t.regex(refusal('FROM x\nRUN ["\\ud800"]'), /line 2: There is half a character/);
  t.regex(refusal('FROM x\nRUN ["a\\u0000"]'), /line 2: There is a NUL character/);
});

test('A text has its quotes, escapes and variables resolved as in a shell', (t) => {
  const readValue = (written: string) => {
    const [, env] = parseDockerfile(`FROM x\nENV A=${written}`).instructions;
    return env?.kind === 'ENV' ? env.variables[0]?.value : undefined;
  };
  t.deepEqual(readValue('"a b"\'$c\'\\$d'), ['a b$c$d']);
  t.deepEqual(readValue('"\\a\\"$"'), ['\\a"$']);
  t.deepEqual(readValue('x$B-$' + '{C}y'), ['x', { name: 'B' }, '-', { name: 'C' }, 'y']);
  t.deepEqual(readValue(`\${B:-x\${C}}`), [
    { name: 'B', otherwise: { operator: '-', emptyIsUnset: true, text: ['x', { name: 'C' }] } },
  ]);
});

/** What is refused, by what it is. */
const REFUSED: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
  'an unknown instruction': ['BANANA 1', /line 2: BANANA is no instruction/],
  'an instruction with a letter that only looks like one of them': ['WOR\u212ADIR /x', /is no instruction/],
  'an instruction without a word': ['RUN', /line 2: RUN says nothing/],
  'a trigger': ['ONBUILD ADD http://x/ /x', /line 2: ONBUILD is not supported/],
  'a vertical tab as white space': ['ADD\vhttp://x/ /x', /line 2: There is a control character \(U\+000B\)/],
  'a form feed as white space': ['COPY\f--from=y / /x', /U\+000C/],
  'a line that ends with a carriage return alone': ['RUN true\rADD http://x/ /x', /U\+000D/],
  'a NUL': ['RUN true\0', /U\+0000/],
  'a blank that does not break': ['\u00a0ADD http://x/ /x', /line 2: There is a blank.*U\+00A0/],
  'a control character that is white space to some': ['\u0085ADD http://x/ /x', /U\+0085/],
  'a blank that nobody sees': ['RUN a\u200bb', /line 2: There is a character that nobody sees \(U\+200B\)/],
  'text that is read from right to left': ['RUN a\u202eb', /U\+202E/],
  'a line separator': ['RUN a\u2028ADD http://x/ /x', /U\+2028/],
  'a comment that only some take for one': ['\u00a0# ADD http://x/ /x', /U\+00A0/],
  'a here-document of RUN': ['RUN cat <<EOF > /x\nFROM y\nEOF', /line 2: RUN of a here-document/],
  'a here-document of COPY that never ends': [
    'COPY <<EOF /x\nADD http://x/ /x',
    /line 2: COPY of a here-document/,
  ],
  'one with a number and a dash': ['RUN cat 3<<-EOF', /here-document/],
  'one behind a quote that does not end': [`RUN echo ' <<EOF`, /here-document/],
  'a flag in quotes': ['COPY --from="y" / /x', /line 2: COPY --from="y" is no flag/],
  'a flag with an escape': ['COPY --fr\\om=y / /x', /is no flag/],
  'a flag that ends flags': ['COPY -- /a /x', /COPY -- is no flag/],
  'a flag of another instruction': ['ENV --from=y A=1', /line 2: ENV --from is not supported/],
  'a flag twice': ['COPY --from=y --from=z / /x', /has --from twice/],
  'a variable in the name of a stage': ['COPY --from=$Y / /x', /takes no variables/],
  'a mount': ['RUN --mount=type=bind,from=y,target=/y cat /y', /RUN --mount is not supported: leave it out/],
  'a network': ['RUN --network=host true', /RUN --network is not supported: .*never have a network/],
  rights: ['RUN --security=insecure true', /RUN --security is not supported/],
  'a list that is none': ['COPY ["a", "/x"', /begins as a JSON list of strings, and is none/],
  'a quote that does not end': ['ENV A="x', /line 2: There is a " that no other ends/],
  'a quote that does not end in the name of a label': ['LABEL a=b "c=d', /There is a " that no other ends/],
  'a brace that does not end': [`ENV A=\${B`, /line 2: There is \$\{B/],
  'a variable as only newer shells have it': [`ENV A=\${B//x/y}`, /\$\{NAME:-text\}/],
  'a parameter of a shell': ['ENV A=$1', /\\\$ is a dollar sign/],
  'a variable of another script': ['ENV A=$é', /which is no variable/],
  'ENV without a value': ['ENV A', /must be written as ENV NAME=value/],
  'ENV with a strange name': ['ENV A;B=1', /must be written as ENV NAME=value/],
  'ENV with its name in quotes': ['ENV "A"=1', /must be written as ENV NAME=value/],
  'ARG without a name': ['ARG =1', /must be written as ARG NAME/],
  'FROM of two images': ['FROM x y', /FROM names one image/],
  'FROM with a strange stage': ['FROM x AS 1a', /no name of a stage/],
  'SHELL in the shell form': ['SHELL bash -c', /SHELL must be a JSON list/],
  'HEALTHCHECK of nothing': ['HEALTHCHECK PING', /HEALTHCHECK must be written/],
};

for (const [title, [text, message]] of Object.entries(REFUSED)) {
  test(`Refused, naming the line, is ${title}`, (t) => t.regex(refusal(`FROM x\n${text}`), message));
}

test('What looks like a here-document and is none is taken', (t) => {
  for (const text of [
    'RUN echo "a <<b"',
    'RUN echo $((1<<2))',
    'RUN cat <<<word',
    'RUN x << y',
    'RUN ["<<EOF"]',
  ])
    t.is(refusal(`FROM x\n${text}`), 'accepted', text);
});

test('A line that names the usual language has no effect, and another language is refused', (t) => {
  t.regex(
    parseDockerfile('# syntax=docker/dockerfile:1.7\nFROM x').remarks[0] ?? '',
    /line 1: # syntax= has no effect/,
  );
  t.regex(refusal('# syntax=example.org/frontend\nFROM x'), /line 1: .*names another language/);
  t.is(refusal('# just a comment\n# syntax=example.org/frontend\nFROM x'), 'accepted');
  t.regex(refusal('#\u00a0escape=`\nFROM x'), /line 1: .*no plain blank/);
});

test('Whatever bytes a Dockerfile has, it is read or refused', (t) => {
  const word = fc.constantFrom(
    'FROM',
    'x',
    'COPY',
    'ENV',
    'A=1',
    '$A',
    `\${`,
    '["a"]',
    '<<E',
    '\\',
    '"',
    '`',
    '--from=a',
    '#',
  );
  const text = fc
    .array(fc.oneof(word, fc.string({ unit: 'binary', maxLength: 4 }), fc.constantFrom(' ', '\n', '\t')), {
      maxLength: 40,
    })
    .map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(text, (written) => {
      t.true(refusal(`FROM x\n${written}`) !== '');
    }),
  );
});

/** An instruction of Docker, each as it may be written. Source: Docker, "Dockerfile reference". */
const INSTRUCTIONS = [
  ...['FROM x', 'ARG A=1', 'ENV A=1', 'RUN true', 'COPY . /app', 'ADD . /app', 'WORKDIR /app', 'USER me'],
  ...['ENTRYPOINT ["a"]', 'SHELL ["/bin/sh", "-c"]', 'VOLUME /cache', 'CMD ["a"]', 'EXPOSE 80', 'LABEL a=b'],
  ...['MAINTAINER me', 'STOPSIGNAL 9', 'HEALTHCHECK NONE', 'ONBUILD RUN true'],
];

test('The page on Dockerfiles names the instructions that there are, and those that are refused', async (t) => {
  const page = await readFile(new URL('../../../../../../docs/dockerfiles.md', import.meta.url), 'utf8');
  const [, table = '', after = ''] =
    /\n\| instruction \|.*\n\|[-|]*\n((?:\|.*\n)*)([\s\S]*?)\n## /.exec(page) ?? [];
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const taken = rows.flatMap((row) => [...row.matchAll(/`([A-Z]+)/g)].map(([, name]) => name ?? ''));
  for (const line of INSTRUCTIONS) {
    const [name = ''] = line.split(' ');
    const said = refusal(`FROM x\n${line}\nENTRYPOINT ["a"]`);
    t.is(said === 'accepted', taken.includes(name), `${name}: ${said}`);
    if (said !== 'accepted') t.true(after.includes(`\`${name}\``), name);
  }
  t.is(new Set(taken).size, INSTRUCTIONS.length - 1);
});
