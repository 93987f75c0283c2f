import { OrderFailure } from '@morpheo/common';
import test from 'ava';
import { parseDockerfile } from '../syntax/parse.ts';
import { planImage } from './plan-image.ts';
import { type BaseConfig, NOTHING } from './stage-reader.ts';

const END = 'ENTRYPOINT ["/a"]';

async function planOf(text: string, config: Partial<BaseConfig> = {}) {
  const bases: string[] = [];
  const baseConfig = async (name: string, line: number) => {
    bases.push(`${line} ${name}`);
    return { ...NOTHING, ...config };
  };
  const plan = await planImage(parseDockerfile(text), { baseConfig, machine: 'x86_64' });
  return { ...plan, bases, actions: plan.stages.flatMap(({ actions }) => actions) };
}

async function refusal(text: string, config: Partial<BaseConfig> = {}): Promise<string> {
  try {
    await planOf(text, config);
  } catch (error) {
    if (error instanceof OrderFailure && error.failure.reason === 'build_failed') return error.message;
    throw error;
  }
  return 'accepted';
}

test('The stages that an image needs are those that lead to the last one', async (t) => {
  const text = `ARG BASE=debian:bookworm-slim
    FROM \${BASE} AS builder
    FROM never:used
    FROM --platform=linux/amd64 node:24-slim AS Tools
    FROM builder
    COPY --from=0 /b /b
    COPY --from=TOOLS /c /c
    COPY --from=tools:1 /d /d
    ${END}`;
  const { stages, bases, actions } = await planOf(text);
  t.deepEqual(bases, ['2 debian:bookworm-slim', '4 node:24-slim']);
  t.deepEqual(
    stages.map(({ index, base }) => [index, base.kind]),
    [
      [0, 'image'],
      [2, 'image'],
      [3, 'stage'],
    ],
  );
  t.deepEqual(
    actions.map((action) => action.kind === 'copy' && action.from),
    [
      { kind: 'stage', index: 0 },
      { kind: 'stage', index: 2 },
      { kind: 'image', name: 'tools:1' },
    ],
  );
});

test('Defaults of ARG lines before FROM may be made of one another', async (t) => {
  const { bases } = await planOf(`ARG V=3.11\nARG BASE=python:\${V}-slim\nFROM $BASE\n${END}`);
  t.deepEqual(bases, ['3 python:3.11-slim']);
  t.deepEqual((await planOf(`FROM \${BASE:-python}:3.11\n${END}`)).bases, ['1 python:3.11']);
  t.regex(await refusal(`ARG BASE\nFROM $BASE\n${END}`), /line 2: FROM names no image: .*needs a default/);
});

test('A RUN line gets all that stands before it, and ARG lines with it', async (t) => {
  const environment = new Map([['PATH', '/bin']]);
  const text = `ARG V=1
    FROM x
    ARG V
    ARG W=w TARGETARCH
    ENV PATH=/opt:$PATH A=$V
    WORKDIR /srv
    USER me:1
    WORKDIR sub
    RUN echo $A
    SHELL ["/bin/bash", "-e", "-c"]
    ENV W=$A
    RUN ls
    RUN ["ls", "-l"]
    ${END}`;
  const { actions } = await planOf(text, { environment, shell: ['/bin/ash', '-c'] });
  const runs = actions.filter((action) => action.kind === 'run');
  t.like(runs[0], { words: ['/bin/ash', '-c', 'echo $A'], workingFolder: '/srv/sub', user: 'me:1' });
  t.deepEqual(Object.fromEntries(runs[0]?.environment ?? []), {
    V: '1',
    W: 'w',
    TARGETARCH: 'amd64',
    PATH: '/opt:/bin',
    A: '1',
  });
  t.deepEqual(runs[0]?.passing, ['V', 'W', 'TARGETARCH']);
  t.like(runs[1], { words: ['/bin/bash', '-e', '-c', 'ls'], passing: ['V', 'TARGETARCH'] });
  t.is(runs[1]?.environment.get('W'), '1');
  t.like(runs[2], { words: ['ls', '-l'] });
});

test('A stage has what the stage that it starts from has', async (t) => {
  const text = `FROM x AS base\nENV A=1\nARG B=2\nWORKDIR /app\nVOLUME /cache\nFROM base\nENV C=$A$B\n${END}`;
  const { config } = await planOf(text);
  t.deepEqual(Object.fromEntries(config.environment), { A: '1', C: '12' });
  t.like(config, { workingFolder: '/app', volumes: ['/cache'] });
});

test('Of an ENV line and an ARG line the later one counts, and in the next stage the environment does', async (t) => {
  const text = `FROM x AS base\nENV A=env B=env\nARG A=arg\nARG B=arg\nENV B=last\nRUN one\nFROM base\nRUN two\n${END}`;
  const { config, actions } = await planOf(text);
  const variables = actions.map((action) => action.kind === 'run' && Object.fromEntries(action.environment));
  t.deepEqual(variables, [
    { A: 'arg', B: 'last' },
    { A: 'env', B: 'last' },
  ]);
  t.deepEqual(Object.fromEntries(config.environment), { A: 'env', B: 'last' });
});

test('The root of an image is a working folder that needs not be made', async (t) => {
  const { config, actions } = await planOf(`FROM x\nWORKDIR /a\nWORKDIR /\n${END}`);
  t.deepEqual(
    actions.map((action) => action.kind === 'folder' && action.path),
    ['/a'],
  );
  t.is(config.workingFolder, '/');
});

test('A base image may have the ENTRYPOINT', async (t) => {
  t.deepEqual((await planOf('FROM x', { entryPoint: ['/run'] })).config.entryPoint, ['/run']);
});

test('A volume stays what the image has where the Dockerfile itself copies to', async (t) => {
  const text = `FROM x\nCOPY . /app/src\nVOLUME /app /cache/\nVOLUME ["/a b"]\n${END}`;
  t.deepEqual((await planOf(text)).config.volumes, ['/cache', '/a b']);
  t.regex(
    await refusal(`FROM x\nCOPY . /app/src\n${END}`, { volumes: ['/app'] }),
    /line 2: COPY to \/app\/src: its base image declares \/app as a volume/,
  );
});

test('A CMD has no effect, and says so', async (t) => {
  const { remarks } = await planOf(`FROM x\nENTRYPOINT ["python3", "/app/main.py"]\nCMD ["--help"]`);
  t.deepEqual(remarks, ['Dockerfile, line 3: CMD has no effect: the arguments of a step take its place.']);
});

/** What is refused when it is evaluated, by what it is. */
const REFUSED: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
  'an image that was built for another archive': [
    `FROM morpheo-step/${'a'.repeat(64)}`,
    /built for another archive/,
  ],
  'the same by a longer name': [`FROM docker.io/morpheo-step/${'a'.repeat(64)}:latest`, /built for another/],
  'the same by a variable': [`ARG B=morpheo-step/${'a'.repeat(64)}\nFROM $B`, /line 2: .*built for another/],
  'the same by a default': [`FROM \${B:-morpheo-step/x}`, /built for another/],
  'the same to copy from': [
    'FROM x\nCOPY --from=index.docker.io/morpheo-step/x / /y',
    /line 2: .*built for another/,
  ],
  'an id': ['FROM sha256:0123abcd', /no name of an image|id of an image/],
  'an id in short': ['FROM x\nCOPY --from=0123abcd / /y', /line 2: .*may be the id of an image/],
  'a name with capitals': ['FROM Debian', /no name of an image.*lower case/],
  'a path': ['FROM ../../containers', /no name of an image/],
  'a query': ['FROM x?force=1', /no name of an image/],
  'a name without end': [`FROM ${'x'.repeat(501)}`, /no name of an image/],
  'a name of two slashes': ['FROM x\nCOPY --from=y//z / /y', /line 2: .*no name of an image/],
  'a stage that stands further down': ['FROM x\nCOPY --from=1 / /y\nFROM y', /there is no stage 1 above/],
  'a copy from its own stage': ['FROM x AS y\nCOPY --from=Y / /z', /line 2: .*before the end of that stage/],
  'a copy from a later stage': [
    'FROM x\nCOPY --from=y / /z\nFROM x AS y',
    /line 2: .*before the end of that stage/,
  ],
  'a copy from a stage of nothing': [
    'FROM scratch AS y\nWORKDIR /\nFROM y AS z\nFROM x\nCOPY --from=z / /z',
    /line 5: COPY --from names a stage that has nothing in it/,
  ],
  'a command in a stage of nothing': ['FROM scratch\nRUN true', /line 2: RUN needs a program/],
  'two stages of one name': ['FROM x AS y\nFROM x AS Y', /line 2: Two stages have the name y/],
  'several files to a destination that is no folder': [
    'FROM x\nCOPY a b /c',
    /line 2: COPY of several things needs a slash at its end: \/c\//,
  ],
  'a host of two dots': ['FROM example..org/x', /line 1: .*no name of an image/],
  'a line before the first FROM': ['RUN true\nFROM x', /line 1: RUN stands before the first FROM/],
  'an address': ['FROM x\nADD https://example.org/x /x', /line 2: .*would need the network/],
  'an address in a JSON list without blanks': [
    'FROM x\nADD ["a","https://example.org/x","/x/"]',
    /line 2: .*network/,
  ],
  'an address with escapes of JSON': [
    'FROM x\nADD ["\\u0068ttp://example.org/x", "/x"]',
    /line 2: .*network/,
  ],
  'an address in quotes': ['FROM x\nADD "http"://example.org/x /x', /line 2: .*network/],
  'an address with escapes': ['FROM x\nADD h\\ttp://example.org/x /x', /line 2: .*network/],
  'an address in a variable': ['FROM x\nARG A=https://example.org\nADD $A /x', /line 3: .*network/],
  'an address in quotes and a variable': [
    'FROM x\nENV A=ps://example.org\nADD "htt$A" /x',
    /line 3: .*network/,
  ],
  'an address in the default of a variable': [
    `FROM x\nADD \${A:-http://example.org/} /x`,
    /line 2: .*network/,
  ],
  'a repository': ['FROM x\nADD git@example.org:x /x', /line 2: .*network/],
  'a file outside of the archive': ['FROM x\nCOPY ../secret /x', /line 2: .*lies outside/],
  'an owner that is none': ['FROM x\nCOPY --chown=a;b . /x', /line 2: a;b is no user/],
  'a mode that is none': ['FROM x\nCOPY --chmod=u+x . /x', /line 2: .*is no mode: write three digits/],
  'a mode that gives rights of root': ['FROM x\nCOPY --chmod=4755 . /x', /is no mode/],
  'a copy to what the kernel has': ['FROM x\nCOPY . /proc/x', /line 2: COPY to \/proc\/x cannot be done/],
  'a volume that is no absolute path': [
    'FROM x\nVOLUME data',
    /line 2: VOLUME data must be an absolute path/,
  ],
  'a volume at the root': ['FROM x\nVOLUME /', /line 2: VOLUME \/ would hide/],
  'a volume of the kernel': ['FROM x\nVOLUME ["/data/../proc/1"]', /line 2: VOLUME .* would hide/],
  'a volume of the system': ['FROM x\nVOLUME /usr/', /line 2: VOLUME \/usr\/ would hide/],
  'a volume of two paths': ['FROM x\nVOLUME /a:/b', /line 2: VOLUME \/a:\/b has a colon/],
  'a working folder that is empty': ['FROM x\nWORKDIR $NOTHING', /line 2: WORKDIR names no folder/],
  'a working folder of the kernel': ['FROM x\nWORKDIR /sys/fs', /line 2: WORKDIR .* no folder of the image/],
  'a user that is none': ['FROM x\nUSER a b', /line 2: a b is no user/],
  'a number that no user has': ['FROM x\nUSER 4294967295', /line 2: 4294967295 is no user/],
  'a signal that is none': ['FROM x\nSTOPSIGNAL SIGBANANA', /line 2: STOPSIGNAL SIGBANANA is no signal/],
  'a port that is none': ['FROM x\nEXPOSE 70000', /line 2: EXPOSE 70000 is no port/],
  'a variable that must have a value': [`FROM x\nENV A="\${B:?is needed}"`, /line 2: B is needed/],
  'an entry point of nothing': ['FROM x\nENTRYPOINT [""]', /line 2: The ENTRYPOINT names no program/],
  'no entry point': ['FROM x\nCMD ["a"]', /no ENTRYPOINT.*CMD is not enough/],
  'a program that stands in the CMD': [
    'FROM x\nENTRYPOINT ["/usr/bin/python3"]\nCMD ["a.py"]',
    /line 3: CMD is replaced/,
  ],
  'more lines than an image may have': [
    `FROM x\n${'RUN true\n'.repeat(101)}${END}`,
    /line 102: There are more than 100/,
  ],
};

for (const [title, [text, message]] of Object.entries(REFUSED)) {
  const whole = /entry point|CMD/.test(title) ? text : `${text}\n${END}`;
  test(`Refused, naming the line, is ${title}`, async (t) => t.regex(await refusal(whole), message));
}

test('Labels are those of the base image, of the stages, and of the lines, the last of a name', async (t) => {
  const labels = new Map([
    ['a', 'of the base'],
    ['morpheo.runner', '1'],
  ]);
  const text = `FROM x AS first
    ENV NAME=b
    LABEL "$NAME"="it's \${NAME}" a=1
    FROM first
    LABEL a two words
    ${END}`;
  const { config } = await planOf(text, { labels });
  t.deepEqual(
    [...config.labels],
    [
      ['a', 'two words'],
      ['morpheo.runner', '1'],
      ['b', "it's b"],
    ],
  );
  t.deepEqual(config.runner, { maxBatch: 1 });
  t.is((await planOf(`FROM x\n${END}`)).config.runner, undefined);
  const wrong = new Map([['morpheo.runner', '3']]);
  t.regex(await refusal(`FROM x\n${END}`, { labels: wrong }), /^The label morpheo\.runner is 3: only "1"/);
});

test('What declarations there are is taken', async (t) => {
  const text = `FROM x
    LABEL a=b "c d"='e f'
    EXPOSE 80 81/udp 8000-8010 $PORT
    STOPSIGNAL SIGRTMIN+3
    STOPSIGNAL 9
    HEALTHCHECK --interval=5s CMD ["true"]
    HEALTHCHECK NONE
    VOLUME /cache
    MAINTAINER Zoé
    ${END}`;
  t.is(await refusal(text), 'accepted');
});
