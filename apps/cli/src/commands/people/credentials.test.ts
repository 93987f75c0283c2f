import { readFile, stat, writeFile } from 'node:fs/promises';
import { credentials, readCredentials } from '@morpheo/service/http';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

async function secretOf(file: string, ...argv: string[]): Promise<string> {
  const { stdout } = await morpheo(['--json', 'credentials', 'set', ...argv, '--file', file]);
  return JSON.parse(stdout).secret;
}

async function known(file: string, name: string, secret: string) {
  return await credentials(await readCredentials(file))(`Bearer ${name}.${secret}`);
}

test('A caller is added to a file that is made for this user alone, and is known by the secret that is shown', async (t) => {
  await using folder = await temporaryFolder();
  const file = folder.file('callers.json');
  const { code, stdout } = await morpheo([
    'credentials',
    'set',
    'w1',
    '--roles',
    'worker,reader',
    '--file',
    file,
  ]);
  t.is(code, 0);
  t.regex(stdout, /^ {2}MORPHEO_WORKER_COMPUTE_USER=w1$/m);
  const secret = /^ {2}MORPHEO_WORKER_COMPUTE_PASSWORD=([0-9a-f]{64})$/m.exec(stdout)?.[1] ?? '';
  t.like(await known(file, 'w1', secret), { name: 'w1', roles: ['worker', 'reader'] });
  t.is((await stat(file)).mode & 0o777, 0o600);
  t.false((await readFile(file, 'utf8')).includes(secret));
});

test('A caller is replaced only where that is said, and the others stay', async (t) => {
  await using folder = await temporaryFolder();
  const file = folder.file('callers.json');
  const admin = await secretOf(file, 'admin', '--roles', 'admin');
  const first = await secretOf(file, 'w1', '--roles', 'worker');
  const again = await morpheo(['credentials', 'set', 'w1', '--roles', 'worker', '--file', file]);
  t.is(again.code, 2);
  t.regex(again.stderr, /w1 is a caller of .*callers\.json already\.\nSay --replace/);
  t.truthy(await known(file, 'w1', first));
  const second = await secretOf(file, 'w1', '--roles', 'reader', '--replace');
  t.is(await known(file, 'w1', first), null);
  t.like(await known(file, 'w1', second), { roles: ['reader'] });
  t.like(await known(file, 'admin', admin), { roles: ['admin'] });
  const listed = await morpheo(['credentials', 'list', '--file', file]);
  t.regex(listed.stdout, /^admin +admin\nw1 +reader$/m);
  const nobody = await morpheo([
    'credentials',
    'set',
    'w2',
    '--roles',
    'worker',
    '--replace',
    '--file',
    file,
  ]);
  t.regex(nobody.stderr, /w2 is no caller of .* yet/);
});

test('A caller that is removed is refused, and one that is not there is told of', async (t) => {
  await using folder = await temporaryFolder();
  const file = folder.file('callers.json');
  const secret = await secretOf(file, 'w1', '--roles', 'worker');
  t.is((await morpheo(['credentials', 'remove', 'w1', '--file', file])).code, 0);
  t.is(await known(file, 'w1', secret), null);
  const gone = await morpheo(['credentials', 'remove', 'w1', '--file', file]);
  t.is(gone.code, 4);
});

test('A file that no service could use is told of by its name and the place in it, and stays as it is', async (t) => {
  await using folder = await temporaryFolder();
  const file = folder.file('callers.json');
  const faulty: [string, RegExp][] = [
    ['[{', /callers\.json .*JSON/],
    ['[{"name":"ann","roles":["king"],"secretHash":"x"}]', /callers\.json .*\[0\]\.roles/],
    ['[{"name":"ann","roles":["reader"],"secretHash":"secret"}]', /callers\.json: The secretHash of "ann"/],
  ];
  for (const [text, message] of faulty) {
    await writeFile(file, text);
    const { code, stderr } = await morpheo(['credentials', 'set', 'w1', '--roles', 'worker', '--file', file]);
    t.is(code, 2, text);
    t.regex(stderr, message);
    t.is(await readFile(file, 'utf8'), text);
  }
  const name = ['credentials', 'set', 'a.b', '--roles', 'worker', '--file', folder.file('other.json')];
  t.regex((await morpheo(name)).stderr, /The name "a\.b" should be/);
});
