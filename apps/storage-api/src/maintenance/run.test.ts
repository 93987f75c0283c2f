import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openTestService } from '../testing/open-service.ts';
import { id, sha256 } from '../testing/requests.ts';
import type { MaintenanceCommand } from './config.ts';
import { runMaintenance } from './run.ts';

/** A folder that is gone when it is disposed. */
async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'storage-maintenance-'));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true }) };
}

/** Runs a command on the data of a folder; resolves with its exit code and what it printed. */
async function command(name: MaintenanceCommand, folder: string, ...flags: string[]) {
  const printed: string[] = [];
  const output = { write: (text: string) => printed.push(text) };
  const code = await runMaintenance(name, { argv: ['--data-dir', folder, ...flags], env: {}, output });
  return { code, text: printed.join('') };
}

/** Leaves a folder with two data sets of a service that has stopped. */
async function fill(folder: string): Promise<void> {
  await using service = await openTestService({}, folder);
  for (const [number, body] of ['the same', 'the same', 'another'].entries())
    await service.call('uploader', `/data?uuid=${id(number)}`, { method: 'POST', body });
}

test('a scrub tells what is damaged by its exit code', async (t) => {
  await using folder = await temporaryFolder();
  await fill(folder.path);
  t.deepEqual(await command('scrub', folder.path), {
    code: 0,
    text: '2 blobs (15 bytes) read, 0 damaged, 0 good again\n',
  });
  const digest = sha256('another');
  await writeFile(join(folder.path, 'blobs', digest.slice(0, 2), digest), 'anothes');
  t.deepEqual(await command('scrub', folder.path, '--scrub-rate', '1MiB'), {
    code: 1,
    text: '2 blobs (15 bytes) read, 1 damaged, 0 good again\n',
  });
});

test('gc removes what its dry run has told', async (t) => {
  await using folder = await temporaryFolder();
  await fill(folder.path);
  await writeFile(join(folder.path, 'blobs', '00', '0'.repeat(64)), 'orphan');
  const said = async (...flags: string[]) =>
    (await command('gc', folder.path, '--orphan-grace-ms', '1', ...flags)).text;
  const told = await said('--dry-run');
  t.regex(told, /^1 blobs \(6 bytes\) would be removed: /);
  t.is(await said(), told.replace('would be', 'were'));
  t.regex(await said(), /^0 blobs \(0 bytes\)/);
});

test('usage is compared with the store', async (t) => {
  await using folder = await temporaryFolder();
  await fill(folder.path);
  const { code, text } = await command('usage', folder.path, '--verify');
  t.is(code, 0);
  t.regex(
    text,
    /^uploader: 23 bytes \(3 data 23\)\n23 bytes in things, 15 bytes in 2 blobs, 8 bytes saved\n/,
  );
  const digest = sha256('another');
  await truncate(join(folder.path, 'blobs', digest.slice(0, 2), digest), 3);
  const after = await command('usage', folder.path, '--verify');
  t.is(after.code, 1);
  t.true(after.text.includes(`${digest} is missing or of another size`));
});

test('a command does not go where the service runs on the embedded database', async (t) => {
  await using service = await openTestService();
  await t.throwsAsync(command('gc', service.folder), { message: /another|in use|process/i });
});
