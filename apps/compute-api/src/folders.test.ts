import { mkdir, mkdtempDisposable, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readiness } from '@morpheo/common';
import test from 'ava';
import { probesOf } from './check.ts';
import { loadConfig } from './config.ts';
import { openTestService } from './testing/open-test-service.ts';

test('A database whose file is lost while the service runs is named by /ready', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'compute-folders-'));
  const file = join(folder.path, 'compute.db');
  await using service = await openTestService(true, { database: { engine: 'sqlite', file } });
  const database = async () => {
    const { dependencies } = readiness.parse(await (await fetch(`${service.url}/ready`)).json());
    return dependencies.find(({ name }) => name === 'database');
  };
  t.like(await database(), { ok: true });
  await rename(file, `${file}.aside`);
  t.like(await database(), {
    ok: false,
    problem: `The file of the database ${file} is gone: restore it from a backup, and start again.`,
  });
  await rename(`${file}.aside`, file);
  t.like(await database(), { ok: true });
});

test('--check names each folder that cannot be used, and changes nothing', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'compute-folders-'));
  const at = (name: string) => join(folder.path, name);
  const places = ['--data-dir', at('data'), '--directory-copy', at('copies/people.json')];
  t.deepEqual(await foldersWrong(places), []);
  for (const [name, part] of [
    ['data', 'data folder'],
    ['copies', 'directory copy'],
  ] as const) {
    await writeFile(at(name), '');
    t.true((await foldersWrong(places)).includes(part), part);
    t.is(await readFile(at(name), 'utf8'), '');
    await rm(at(name));
  }
  await mkdir(at('data'));
  await mkdir(at('data/compute.db'));
  t.deepEqual(await foldersWrong(places), ['database']);
});

/** The probes of folders and files that find something wrong. */
async function foldersWrong(places: readonly string[]): Promise<string[]> {
  const storage = ['--storage', 'http://127.0.0.1:9', '--storage-user', 'us', '--storage-password', 'secret'];
  const loaded = loadConfig([...places, ...storage, '--insecure-open', 'true'], {});
  if (loaded.kind !== 'settings') throw new Error('these are settings');
  const wrong: string[] = [];
  for (const [name, probe] of Object.entries(probesOf(loaded.values))) {
    if (name === 'storage') continue;
    await probe.ask(AbortSignal.timeout(60_000)).catch(() => wrong.push(name));
  }
  return wrong;
}
