import { createReadStream } from 'node:fs';
import { chmod, mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { ignoreRules } from './ignore-rules.ts';
import { listFiles, packFolder } from './pack-folder.ts';

const forever = new AbortController().signal;

async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

async function pack(folder: string, archive: string): Promise<Uint8Array> {
  await packFolder(folder, await listFiles(folder, forever), archive, forever);
  return await readFile(archive);
}

async function entriesOf(archive: string): Promise<Record<string, { mode: number; text: string }>> {
  const entries: Record<string, { mode: number; text: string }> = {};
  const tar = createReadStream(archive)
    .pipe(createGunzip())
    .pipe(extract() as unknown as NodeJS.WritableStream);
  for await (const entry of tar as unknown as ReturnType<typeof extract>) {
    const chunks = await Array.fromAsync(entry as AsyncIterable<Uint8Array>);
    entries[entry.header.name] = { mode: entry.header.mode, text: Buffer.concat(chunks).toString() };
  }
  return entries;
}

test('A packed folder holds its files and who may run them', async (t) => {
  await using folder = await temporaryFolder();
  await writeFiles(folder.file('in'), {
    Dockerfile: 'FROM x',
    'lib/a.js': 'a'.repeat(300_000),
    'run.sh': '#!',
  });
  await chmod(folder.file('in/run.sh'), 0o700);
  await pack(folder.file('in'), folder.file('out.tar.gz'));
  t.deepEqual(await entriesOf(folder.file('out.tar.gz')), {
    Dockerfile: { mode: 0o644, text: 'FROM x' },
    'lib/a.js': { mode: 0o644, text: 'a'.repeat(300_000) },
    'run.sh': { mode: 0o755, text: '#!' },
  });
});

test('The same files give the same archive at another time', async (t) => {
  await using folder = await temporaryFolder();
  const files = { b: '1', a: '2', 'c/d': '3' };
  await writeFiles(folder.file('one'), files);
  await writeFiles(folder.file('two'), Object.fromEntries(Object.entries(files).toReversed()));
  await utimes(folder.file('two/a'), 1, 1);
  const one = await pack(folder.file('one'), folder.file('1.tar.gz'));
  t.deepEqual(await pack(folder.file('two'), folder.file('2.tar.gz')), one);
});

test('A link is refused, unless it is ignored', async (t) => {
  await using folder = await temporaryFolder();
  await writeFiles(folder.path, { a: '1' });
  await symlink('/etc/passwd', folder.file('secret'));
  await t.throwsAsync(listFiles(folder.path, forever), { name: 'CliError', message: /secret is a link/ });
  await writeFiles(folder.path, { '.dockerignore': 'secret' });
  t.deepEqual(
    (await listFiles(folder.path, forever)).map((file) => file.name),
    ['.dockerignore', 'a'],
  );
});

test('A file that changes while it is packed is an error', async (t) => {
  await using folder = await temporaryFolder();
  await writeFiles(folder.path, { a: '12345' });
  const packing = packFolder(
    folder.path,
    [{ name: 'a', size: 4, executable: false }],
    folder.file('out.tar.gz'),
    forever,
  );
  await t.throwsAsync(packing, { name: 'CliError', message: /a changed while it was packed/ });
});

test('Git and node_modules stay out where nothing is said', (t) => {
  const { file, folder } = ignoreRules(null);
  t.true(file('.git/HEAD') && file('lib/node_modules/x/y.js') && folder('node_modules') && folder('.git'));
  t.false(file('main.js') || file('.gitignore') || folder('lib'));
});

test('The last rule of a dockerignore that fits decides', (t) => {
  const { file, folder } = ignoreRules(
    '# data\n*.csv\n/docs/\n**/*.tmp\n!docs/keep.md\nDockerfile\na?[xy]\n',
  );
  const out = ['big.csv', 'docs/a.md', 'x/y/z.tmp', 'z.tmp', 'abx', 'aby/z'];
  const kept = ['x/big.csv', 'docs/keep.md', 'Dockerfile', 'abz', 'main.js', 'tmp'];
  t.deepEqual(
    out.filter((path) => !file(path)),
    [],
  );
  t.deepEqual(
    kept.filter((path) => file(path)),
    [],
  );
  t.false(folder('docs'), 'a rule that takes back makes everybody look');
});

test('A rule without wildcards ignores its path and what is below', (t) => {
  const name = fc
    .stringMatching(/^[a-z0-9_.+()$^{}|-]{1,8}$/)
    .filter((text) => !/^\.{1,2}$|^\.git$/.test(text));
  const path = fc.array(name, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(path, path, (rule, other) => {
      const { file } = ignoreRules(rule.join('/'));
      const below = rule.every((part, index) => other[index] === part);
      t.is(file(other.join('/')), below && other.join('/') !== 'Dockerfile');
      t.true(file([...rule, 'x'].join('/')));
    }),
  );
});

test('A file or folder whose name is not UTF-8 is named, with what to do, unless it is ignored', async (t) => {
  await using folder = await temporaryFolder();
  await writeFiles(folder.file('in'), { Dockerfile: 'FROM x', 'c/a': '1' });
  const at = (name: string) =>
    Buffer.concat([Buffer.from(folder.file('in/c/caf')), Buffer.from(name, 'latin1')]);
  await writeFile(at('é.py'), '');
  t.like(await t.throwsAsync(listFiles(folder.file('in'), forever)), {
    message: 'The name of c/caf?.py is not UTF-8.',
    hint: 'Rename the file, or name it in .dockerignore.',
    exitCode: 2,
  });
  await rm(at('é.py'));
  await mkdir(at('é'));
  await t.throwsAsync(listFiles(folder.file('in'), forever), { message: 'The name of c/caf? is not UTF-8.' });
  await writeFile(folder.file('in/.dockerignore'), 'c/caf*\n');
  t.deepEqual(
    (await listFiles(folder.file('in'), forever)).map(({ name }) => name),
    ['.dockerignore', 'Dockerfile', 'c/a'],
  );
});
