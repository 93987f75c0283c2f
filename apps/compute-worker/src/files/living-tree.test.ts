import { execFileSync } from 'node:child_process';
import { chmod, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { type LivingFile, livingTree } from './living-tree.ts';

async function textOf(file: LivingFile, from?: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.bytes(from)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('Files and folders come with their bytes, and what is neither by its name alone', async (t) => {
  await using box = await temporaryFolder();
  await mkdir(join(box.path, 'a', 'empty'), { recursive: true });
  await writeFile(join(box.path, 'a', 'file'), 'content');
  await writeFile(join(box.path, 'run'), '', { mode: 0o755 });
  await symlink('/etc', join(box.path, 'link'));
  await symlink('/etc/passwd', join(box.path, 'a', 'passwd'));
  execFileSync('mkfifo', [join(box.path, 'fifo')]);
  await writeFile(Buffer.concat([Buffer.from(`${box.path}/caf`), Buffer.from([0xe9])]), '');
  const seen: string[] = [];
  for await (const file of livingTree(box.path))
    seen.push(`${file.path} ${file.kind} ${file.executable} ${await textOf(file)}`);
  t.deepEqual(seen, [
    'a folder false ',
    'a/empty folder false ',
    'a/file file false content',
    'a/passwd other false ',
    'caf\uFFFD other false ',
    'fifo other false ',
    'link other false ',
    'run file true ',
  ]);
});

test('One file is read from where one is, also while it grows, and what is not there is nothing', async (t) => {
  await using box = await temporaryFolder();
  const path = join(box.path, 'metrics.jsonl');
  t.deepEqual(await Array.fromAsync(livingTree(box.path, 'metrics.jsonl')), []);
  await writeFile(path, 'one two');
  for await (const file of livingTree(box.path, 'metrics.jsonl')) {
    await writeFile(path, ' three', { flag: 'a' });
    t.is(await textOf(file, 4), 'two', 'no more than it had');
    await truncate(path, 5);
    t.is(await textOf(file, 4), 't', 'no more than it has');
    t.is(await textOf(file, 20), '');
  }
  await rm(path);
  await symlink('/etc/passwd', path);
  for await (const { kind } of livingTree(box.path, 'metrics.jsonl')) t.is(kind, 'other');
  t.deepEqual(await Array.fromAsync(livingTree(box.path, 'metrics.jsonl/deeper')), []);
});

test('A folder that becomes a link while it is looked into leads nowhere', async (t) => {
  await using box = await temporaryFolder();
  await using secrets = await temporaryFolder();
  await writeFile(join(secrets.path, 'z'), 'secret');
  for (const name of ['a', 'z']) {
    await mkdir(join(box.path, 'd'), { recursive: true });
    await writeFile(join(box.path, 'd', name), 'own');
  }
  const seen: string[] = [];
  for await (const file of livingTree(box.path)) {
    seen.push(await textOf(file));
    if (file.path !== 'd/a') continue;
    await rename(join(box.path, 'd'), join(box.path, 'moved'));
    await symlink(secrets.path, join(box.path, 'd'));
  }
  t.deepEqual(seen, ['', 'own', 'own']);
  await rm(join(box.path, 'd'));
  await chmod(join(box.path, 'moved'), 0o755);
});
