import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { emptyLiving, moveOut, removeLiving, removeLivingTree } from './remove-living.ts';

function opened(folder: string): Disposable & { readonly fd: number } {
  const fd = openSync(folder, 'r');
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

test('A tree is removed whatever names and modes it has, and where its links lead to is not', async (t) => {
  await using box = await temporaryFolder();
  await using kept = await temporaryFolder();
  await writeFile(join(kept.path, 'kept'), '');
  const tree = join(box.path, 'tree');
  await mkdir(join(tree, 'a', 'b'), { recursive: true });
  await writeFile(join(tree, 'a', 'file'), '');
  await symlink(kept.path, join(tree, 'a', 'link'));
  await symlink(kept.path, join(box.path, 'root'));
  await writeFile(Buffer.concat([Buffer.from(`${tree}/caf`), Buffer.from([0xe9])]), '');
  for (let file = 0; file < 300; file += 1) writeFileSync(join(tree, 'a', 'b', String(file)), '');
  await chmod(join(tree, 'a', 'b'), 0);
  await chmod(join(tree, 'a'), 0o500);
  using folder = opened(box.path);
  await removeLiving(folder.fd, 'tree');
  await removeLiving(folder.fd, 'root');
  await removeLiving(folder.fd, 'never was');
  t.deepEqual(readdirSync(box.path), []);
  t.deepEqual(readdirSync(kept.path), ['kept']);
});

test('A tree is removed however deep it is', async (t) => {
  await using box = await temporaryFolder();
  const deep = `cd "$0"; for i in $(seq 300); do d=$(printf '%0200d' 0); mkdir $d; cd -P $d; done; touch file`;
  const shell = spawn('sh', ['-c', deep, box.path], { stdio: 'inherit' });
  t.deepEqual(await once(shell, 'exit'), [0, null]);
  await removeLivingTree(join(box.path, '0'.repeat(200)));
  t.deepEqual(readdirSync(box.path), []);
});

test('What is in a folder is moved away, and the folder stays', async (t) => {
  await using box = await temporaryFolder();
  await using into = await temporaryFolder();
  mkdirSync(join(box.path, 'deep', 'er'), { recursive: true });
  writeFileSync(join(box.path, 'file'), '');
  using folder = opened(box.path);
  await chmod(box.path, 0o500);
  await moveOut(folder.fd, () => into.path);
  t.deepEqual(readdirSync(box.path), []);
  t.is(readdirSync(into.path).length, 2);
  await moveOut(folder.fd, () => t.fail('there is nothing'));
});

test('Folders are emptied where they are all that there is, and are folders', async (t) => {
  await using box = await temporaryFolder();
  using folder = opened(box.path);
  const names = new Set(['inputs', 'outputs']);
  const make = (name: string, parts: readonly string[]) => {
    for (const part of parts) mkdirSync(join(box.path, name, part, 'deep'), { recursive: true });
  };
  make('whole', ['inputs', 'outputs']);
  writeFileSync(join(box.path, 'whole', 'inputs', 'file'), '');
  t.true(await emptyLiving(folder.fd, 'whole', names));
  t.deepEqual(readdirSync(join(box.path, 'whole', 'inputs')), []);
  make('fewer', ['inputs']);
  make('more', ['inputs', 'outputs', 'other']);
  make('linked', ['inputs']);
  await symlink(join(box.path, 'more'), join(box.path, 'linked', 'outputs'));
  writeFileSync(join(box.path, 'file'), '');
  for (const name of ['fewer', 'more', 'linked', 'file', 'none'])
    t.false(await emptyLiving(folder.fd, name, names));
  t.true(existsSync(join(box.path, 'more', 'other')));
});

test('A program that puts links in the place of folders while they are removed gains nothing', async (t) => {
  await using box = await temporaryFolder();
  await using kept = await temporaryFolder();
  await writeFile(join(kept.path, 'kept'), '');
  await mkdir(join(box.path, 'tree'));
  const swap = `
    const fs = require('node:fs');
    const at = process.argv[1] + '/tree/';
    const quietly = (work) => { try { work(); } catch {} };
    process.stdout.write('goes on');
    for (;;) {
      quietly(() => fs.mkdirSync(process.argv[1] + '/tree'));
      quietly(() => fs.mkdirSync(at + 'folder'));
      quietly(() => fs.writeFileSync(at + 'folder/kept', ''));
      quietly(() => fs.renameSync(at + 'folder', at + 'other'));
      quietly(() => fs.symlinkSync(process.argv[2], at + 'folder'));
    }`;
  const program = spawn(process.execPath, ['-e', swap, box.path, kept.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(program.stdout, 'data');
  using folder = opened(box.path);
  for (let round = 0; round < 200; round += 1) await removeLiving(folder.fd, 'tree').catch(() => undefined);
  program.kill('SIGKILL');
  await once(program, 'exit');
  await removeLiving(folder.fd, 'tree');
  t.deepEqual(readdirSync(kept.path), ['kept']);
  t.deepEqual(readdirSync(box.path), []);
});
