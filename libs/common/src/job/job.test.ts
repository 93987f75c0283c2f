import test from 'ava';
import { issueMessage } from '../errors.ts';
import { MOST_IN_JOB } from './bounds.ts';
import { job } from './job.ts';

const UUID = '3f1d8a52-6a3a-4c1e-9d53-0a6f0f1c2b7e';
const IMAGE = `registry.example/tool:1@sha256:${'0123456789abcdef'.repeat(4)}`;
const RESOURCE = { type: 'data', uuid: UUID } as const;

/** What is told of a job that is a good one but for these members; empty where it is good. */
function told(members: Readonly<Record<string, unknown>>): string {
  const { error } = job.safeParse({ uuid: UUID, image: IMAGE, ...members });
  return (error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issueMessage(issue)}`).join('\n');
}

test('A job with all that it may have is taken as it is', (t) => {
  const whole = {
    ...{ uuid: UUID, image: IMAGE, command: ['--steps', ''], env: { A_1: 'x', B: '' } },
    inputs: [
      { path: '/data/train', resource: RESOURCE, unpack: true },
      { path: '/data/test', resource: { type: 'output', uuid: UUID } },
      { path: '/config.json', inline: 'e30=' },
      { path: '/bucket', bucket: { connection: 'lab', prefix: 'sets/a/' } },
    ],
    ...{ output: UUID, outputs: { storage: false, bucket: { connection: 'lab', prefix: 'out' } } },
    ...{ limits: { wall_seconds: 60, memory_bytes: 2 ** 30, disk_bytes: 1 }, gpus: 1 },
    ...{ needs: { arch: 'amd64' }, owner: 'ann', priority: -10, group: 'sweep.1' },
    ...{ labels: { 'team.example/run': '1' }, callback: 'https://hooks.example/ended' },
  };
  t.deepEqual<unknown, unknown>(job.parse(whole), whole);
  t.is(told({ image: undefined, algo: UUID, needs: { runtime: 'process' } }), '');
});

test('The same variables and labels in another order are the same job', (t) => {
  const [one, other] = [
    { B: '1', A: '2' },
    { A: '2', B: '1' },
  ].map((env) => JSON.stringify(job.parse({ uuid: UUID, image: IMAGE, env, labels: env })));
  t.is(one, other);
});

test('A job that does not fit is told what is wrong, and where', (t) => {
  const input = (members: object) => ({ inputs: [{ path: '/a', resource: RESOURCE, ...members }] });
  const at = (path: string) => input({ path });
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ image: 'registry.example/tool:1' }, /^image: .*digest/],
    [{ image: undefined }, /exactly one of image, algo and sheep/],
    [{ algo: UUID }, /exactly one of image, algo and sheep/],
    [{ needs: { runtime: 'process' } }, /^needs.runtime: .*an image runs nowhere else/],
    [{ comand: [] }, /Unrecognized key/],
    [{ command: ['a\0'] }, /no character 0/],
    [{ command: ['x'.repeat(MOST_IN_JOB.argumentBytes + 1)] }, /65536 bytes in all/],
    [{ env: { 'A-B': '' } }, /letters, digits and _/],
    [{ env: { NVIDIA_VISIBLE_DEVICES: 'all' } }, /the platform sets these/],
    [{ env: { MORPHEO_X: '' } }, /the platform sets these/],
    [at('data'), /absolute path/],
    [at('/'), /absolute path/],
    [at('/a/'), /absolute path/],
    [at('/a//b'), /absolute path/],
    [at('/a/../b'), /absolute path/],
    [at('/a\ud800'), /no halves of characters/],
    [at('/a\nb'), /control characters/],
    [at(`/${'a'.repeat(256)}`), /255 between/],
    [at(`/${'é/'.repeat(400)}a`), /1024 bytes/],
    [at('/outputs'), /in or above \/outputs/],
    [at('/checkpoint/a'), /in or above \/checkpoint/],
    [at('/etc'), /should not be \/etc, which programs need/],
    [at('/a:b'), /no colon/],
    [at('/proc/1'), /in or above \/proc/],
    [input({ inline: '' }), /exactly one of resource, inline and bucket/],
    [input({ resource: undefined }), /exactly one of resource, inline and bucket/],
    [input({ resource: undefined, inline: 'e30' }), /base64/],
    [
      input({ resource: undefined, bucket: { connection: 'lab', prefix: '' }, unpack: true }),
      /objects are a folder/,
    ],
    [input({ resource: undefined, bucket: { connection: 'lab', prefix: 'a/../b' } }), /no \. or \.\./],
    [{ outputs: { storage: false } }, /to storage, to a bucket, or to both/],
    [{ limits: { wall_seconds: 0 } }, />=1/],
    [{ callback: 'ftp://hooks.example/' }, /Invalid URL/],
    [{ callback: 'https://a:b@hooks.example/' }, /no credentials/],
  ];
  for (const [members, message] of cases) t.regex(told(members), message, JSON.stringify(members));
});

test('A job for a bare sheep names a model of it, and says nothing of how that is started', (t) => {
  const toldOf = (members: object, name = 'ocr') =>
    told({
      ...{ image: undefined, warm: 'zeromq', sheep: { id: 'bare_sheep', name, version: '1.0.42' } },
      ...members,
    });
  t.is(toldOf({}), '');
  t.regex(toldOf({ warm: undefined }), /^warm: should be zeromq/);
  t.regex(toldOf({ image: IMAGE }), /exactly one/);
  t.regex(toldOf({ command: [] }), /^sheep: should stand without command/);
  for (const name of ['', '..', '.git', 'a/b', 'a b', '-p', 'x'.repeat(129)])
    t.regex(toldOf({}, name), /^sheep.name: /, name);
  t.regex(toldOf({ sheep: { id: 'a/b', name: 'a', version: 'b' } }), /^sheep.id: /);
});

test('What a call in a warm runner brings lies below /in, and what the runner starts with in no bucket', (t) => {
  const bucket = { resource: undefined, bucket: { connection: 'lab', prefix: 'a' } };
  const warm = (path: string, members: object = {}) =>
    told({ warm: 'runner', inputs: [{ path, resource: RESOURCE, ...members }] });
  for (const path of ['/in/a', '/in/a/b', '/model', '/data/model']) t.is(warm(path), '', path);
  t.is(warm('/in/a', bucket), '');
  t.regex(warm('/model', bucket), /^inputs.0.path: should stand below \/in\//);
  t.regex(warm('/in'), /^inputs.0.path: should stand below \/in\//);
  for (const path of ['/calls', '/calls/1', '/run', '/run/morpheo', '/tmp/a'])
    t.regex(warm(path), /which warm runners have for themselves/, path);
  t.is(told({ inputs: [{ path: '/tmp/a', ...bucket }] }), '');
  t.regex(told({ warm: 'gpu' }), /^warm: /);
  t.regex(told({ warm: 'zeromq', needs: { warm: 'runner' } }), /^needs.warm: should be absent/);
});

test('No input stands at or in another, whatever their order', (t) => {
  const inputs = (...paths: string[]) => ({ inputs: paths.map((path) => ({ path, resource: RESOURCE })) });
  t.regex(told(inputs('/a', '/a')), /^inputs.1.path: should not be at or in \/a,/);
  t.regex(told(inputs('/a/b', '/c', '/a')), /^inputs.0.path: should not be at or in \/a,/);
  t.is(told(inputs('/a', '/ab', '/b/c', '/b/d')), '');
});

test('What stands in the order has a bound, all inputs together', (t) => {
  const half = Buffer.alloc(MOST_IN_JOB.inlineBytes / 2).toString('base64');
  const inputs = (...inline: string[]) => ({
    inputs: inline.map((text, n) => ({ path: `/in/${n}`, inline: text })),
  });
  t.is(told(inputs(half, half)), '');
  t.regex(told(inputs(half, half, 'AA==')), /these have 1048577\): upload what is larger as data/);
});
