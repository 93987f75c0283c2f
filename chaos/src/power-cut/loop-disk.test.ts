import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeLoopDisk, powerCutTest } from './loop-disk.ts';

powerCutTest('A cut keeps what was synced, and takes what was only written', async (t) => {
  const disk = await makeLoopDisk(64);
  {
    await using file = await open(join(disk.folder, 'synced'), 'w');
    await file.writeFile('kept');
    await file.sync();
    await using folder = await open(disk.folder);
    await folder.sync();
  }
  await writeFile(join(disk.folder, 'written'), 'lost');
  await using after = await disk.cut();
  t.is(await readFile(join(after.folder, 'synced'), 'utf8'), 'kept');
  const rest = await readFile(join(after.folder, 'written'), 'utf8').catch(() => '');
  t.is(rest, '');
});
