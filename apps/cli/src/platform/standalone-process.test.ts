import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Screen } from '../testing/screen.ts';
import { type TemporaryFolder, temporaryFolder } from '../testing/temporary-folder.ts';
import { type StandaloneProcess, startStandalone } from './standalone-process.ts';

const entry = fileURLToPath(import.meta.resolve('../testing/standalone.fixture.ts'));

async function start(
  folder: TemporaryFolder,
  flags: readonly string[],
  options: { signal?: AbortSignal; stderr?: Screen } = {},
): Promise<StandaloneProcess> {
  return await startStandalone({
    entry,
    args: ['--home', folder.path, ...flags],
    folder: folder.path,
    env: {},
    stderr: options.stderr ?? new Screen(),
    signal: options.signal ?? new AbortController().signal,
  });
}

test('It is told where the platform listens once it does', async (t) => {
  await using folder = await temporaryFolder();
  // What a platform that was killed has left behind says nothing of this one.
  await writeFile(folder.file('connection.json'), '{"compute":"http://stale"}', { mode: 0o600 });
  await using platform = await start(folder, []);
  const connection = await platform.listening;
  t.is(connection?.compute, 'http://127.0.0.1:2');
});

test('An interrupt stops the platform and waits for its end', async (t) => {
  await using folder = await temporaryFolder();
  const interrupt = new AbortController();
  const stderr = new Screen();
  await using platform = await start(folder, [], { signal: interrupt.signal, stderr });
  await platform.listening;
  interrupt.abort();
  t.is(await platform.ended, 0);
  t.regex(stderr.text, /started with --home[\s\S]*told to stop/);
});

test('A platform that ends by itself is not waited for', async (t) => {
  await using folder = await temporaryFolder();
  await using platform = await start(folder, ['--break', '--exit', '2']);
  t.is(await platform.listening, null);
  t.is(await platform.ended, 2);
});

test('Disposing stops what still runs', async (t) => {
  await using folder = await temporaryFolder();
  const platform = await start(folder, []);
  await platform.listening;
  await platform[Symbol.asyncDispose]();
  t.is(await platform.ended, 0);
});
