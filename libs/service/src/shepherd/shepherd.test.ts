import { join } from 'node:path';
import { inspect } from 'node:util';
import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { parseShepherdFile, readShepherdFile } from './index.ts';

const HEAD = `data_root: /tmp/shepherd-data
registry:
  url: http://127.0.0.1:6000
storage:
  url: 127.0.0.1:7000
  access_key: $ACCESS
  secret_key: \${SECRET}
`;

const ONE = `sheep:
  cpu_sheep_1:
    type: docker
    port: 9001
`;

const ENV = { ACCESS: 'shepherd', SECRET: 'known-to-nobody' };

function parse(text: string, env: Readonly<Record<string, string>> = ENV) {
  return parseShepherdFile(text, 'shepherd.yml', env);
}

/** What is told of a configuration that is no good. */
function told(text: string, env = ENV): string {
  try {
    parse(text, env);
  } catch (error) {
    if (isPlatformError(error, 'invalid_request')) return error.message;
    throw error;
  }
  return '';
}

test('The configuration of the original is read as it is, with variables in place of their names', (t) => {
  const file = parse(
    `${HEAD}logging:
  level: warning
sheep:
  gpu:
    type: docker
    port: 9001
    devices: [/dev/nvidia1, /dev/nvidiactl]
    autoremove_containers: true
  bare.1:
    type: bare
    port: $PORT
    working_directory: /srv/$NAME/models
    stdout_file: /srv/out
`,
    { ...ENV, PORT: '9002', NAME: 'lab' },
  );
  t.is(file.dataRoot, '/tmp/shepherd-data');
  t.is(file.logLevel, 'warn');
  t.deepEqual(
    [file.storage?.url, file.storage?.accessKey, file.storage?.secretKey.reveal()],
    ['http://127.0.0.1:7000', 'shepherd', 'known-to-nobody'],
  );
  t.like(file.registry, { url: 'http://127.0.0.1:6000', credentials: undefined });
  t.deepEqual(file.sheep, [
    { id: 'gpu', type: 'docker', port: 9001, gpus: [1] },
    {
      ...{ id: 'bare.1', type: 'bare', port: 9002, gpus: [], program: ['shepherd-runner'] },
      ...{ workingDirectory: '/srv/lab/models', stdoutFile: '/srv/out', stderrFile: undefined },
    },
  ]);
});

test('Relative paths of a bare sheep are those of the folder that its reader was started in', (t) => {
  const [sheep] = parse(
    `${HEAD}sheep:
  bare:
    port: 9001
    type: bare
    working_directory: examples/docker/emloop_example
    stdout_file: out.txt
`,
  ).sheep;
  t.like(sheep, {
    workingDirectory: join(process.cwd(), 'examples/docker/emloop_example'),
    stdoutFile: join(process.cwd(), 'out.txt'),
  });
});

test('A dollar in quotes, and one before small letters, is a dollar', (t) => {
  const file = parse(`${HEAD.replace('$ACCESS', "'$ACCESS'").replace(/\$\{SECRET\}/, () => 'a$b')}${ONE}`);
  t.is(file.storage?.accessKey, '$ACCESS');
  t.is(file.storage?.secretKey.reveal(), 'a$b');
});

test('Without storage there is none: buckets are folders then', (t) => {
  t.is(parse(`data_root: /data\nregistry: {url: "http://r:1"}\n${ONE}`).storage, undefined);
});

test('What is wrong is told with its line', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      `${HEAD}sheep:\n  a: {type: docker, port: 1}\n  b: {type: docker, port: 1}\n`,
      /line 10: sheep.b.port: a has the same port/,
    ],
    [
      `data_root: /data\n${ONE}`,
      /line 3: sheep.cpu_sheep_1: it runs images of a registry, and none is configured/,
    ],
    [`${HEAD}${ONE}    colour: red\n`, /line 9: sheep.cpu_sheep_1: Unrecognized key: "colour"/],
    [
      `${HEAD}sheep:\n  a:\n    type: goat\n    port: 1\n`,
      /line 10: sheep.a.type: should have a type, which is docker or bare/,
    ],
    [`${HEAD}sheep:\n  a:\n    type: bare\n    port: 1\n`, /line 9: sheep.a.working_directory: /],
    ...['/dev/sda', '/dev/nvidia', '/dev/nvidia0:/dev/nvidia1', '/dev/nvidia-caps/../sda'].map(
      (device) =>
        [
          `${HEAD}sheep:\n  a:\n    type: docker\n    port: 1\n    devices:\n      - ${device}\n`,
          /line 13: sheep.a.devices.0: should be a GPU/,
        ] as const,
    ),
    [
      `${HEAD}sheep:\n  a:\n    type: docker\n    port: 1\n    devices:\n      - /dev/nvidia0\n      - /dev/nvidia0\n`,
      /line 14: sheep.a.devices.1: is there twice/,
    ],
    [`${HEAD}sheep: {}\n`, /line 8: sheep: should have at least one sheep/],
    [`${HEAD}sheep:\n  a b: {type: docker, port: 1}\n`, /line 9: sheep.a b: /],
    [`${ONE}`, /line 1: data_root: /],
    [
      HEAD.replace('url: http://127.0.0.1:6000', 'url: ftp://x') + ONE,
      /line 3: registry.url: should be an address/,
    ],
    [
      HEAD.replace('6000', '6000\n  username: me') + ONE,
      /line 2: registry: username and password belong together/,
    ],
    [`${HEAD}data_root: /b\n${ONE}`, /line 8: Map keys must be unique/],
    [`${HEAD}${ONE}  - x\n`, /line 12: /],
    ['', /line 1: the whole: /],
  ];
  for (const [text, message] of cases) t.regex(told(text), message, text);
});

test('A variable that is not set is named, with the line', (t) => {
  t.regex(told(`${HEAD}${ONE}`, { ACCESS: '', SECRET: '' }), /line 6: storage.access_key/);
  t.throws(() => parse(`${HEAD}${ONE}`, {}), {
    message: /line 6: the variable ACCESS is not set; line 7: the variable SECRET is not set/,
  });
});

test('No error and no text of what was read shows a secret', (t) => {
  const secret = 'hunter2-hunter2';
  const text = `${HEAD}${ONE}`;
  t.false(inspect(parse(text, { ...ENV, SECRET: secret }), { depth: 9 }).includes(secret));
  for (const broken of [
    `secret_key: [${secret}`,
    `secret_key: {a: ${secret}}`,
    `secret_key: "${secret}`,
    `"${secret}`,
  ]) {
    const message = told(text.replace(/secret_key: .*/, broken));
    t.not(message, '');
    t.false(message.includes(secret), message);
  }
});

test('A few lines that stand for very many are refused', (t) => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'
      .split('')
      .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join(',')}]`),
  ];
  t.throws(() => parse(bomb.join('\n')), {
    message: /line 1: the whole: it refers to parts of itself too often/,
  });
});

test('A file that is not there is named', async (t) => {
  await t.throwsAsync(readShepherdFile('/nowhere/shepherd.yml', {}), {
    message: 'The configuration /nowhere/shepherd.yml: there is no such file.',
  });
});
