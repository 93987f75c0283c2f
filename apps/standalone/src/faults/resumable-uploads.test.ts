import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { mainOf } from '@morpheo/real-parts';
import { silentLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import test, { type ExecutionContext } from 'ava';
import { openFaultProxy } from '../testing/fault-proxy.ts';

const MEBIBYTE = 1024 * 1024;
const SIZE = 16 * MEBIBYTE;
/** What the program sends as one, as it says itself. */
const CHUNK = 4 * MEBIBYTE;
/** Where the line is fast, the next one is twice as large; then too little is left for a larger one. */
const LARGEST_CHUNK = 2 * CHUNK;
/** Requests around the bytes take some as well. */
const HEADERS = 64 * 1024;
const MAIN = mainOf('cli');

/** A service behind a proxy, and a file to upload through it. */
async function setUp(t: ExecutionContext) {
  t.timeout(300_000);
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-resume-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const options = { host: '127.0.0.1', port: 0, callers: null, version: 'test', log: silentLog };
  const dataFolder = join(folder, 'storage');
  const service = stack.use(await openStorageService({ ...options, dataFolder }));
  const proxy = stack.use(await openFaultProxy(service.url));
  const bytes = randomBytes(SIZE);
  const file = join(folder, 'train');
  await writeFile(file, bytes);
  const env = { ...process.env, MORPHEO_HOME: join(folder, 'home'), MORPHEO_STORAGE_URL: proxy.url };
  const upload = (...more: string[]) =>
    spawn(process.execPath, [MAIN, 'upload', 'data', file, '--quiet', ...more], { env });
  const opened = stack.move();
  return {
    proxy,
    home: env.MORPHEO_HOME,
    upload,
    /** Fails where the thing of this id is another than the file, or something is left of its upload. */
    async check(uuid: string) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const answer = await fetch(`${service.url}/data/${uuid}`);
      t.like(await answer.json(), { sha256, size: SIZE });
      const stored = await readFile(join(dataFolder, 'blobs', sha256.slice(0, 2), sha256));
      t.true(stored.equals(bytes));
      t.deepEqual(await readdir(join(dataFolder, 'uploads')), []);
      t.deepEqual(await readdir(join(env.MORPHEO_HOME, 'cli-uploads')), []);
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function ended(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the program has no output');
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(stdout), text(stderr)]);
  return { code: code as number | null, stdout: out.trim(), stderr: err };
}

test('Morpheo upload goes on by itself after each cut, a chunk back at most', async (t) => {
  await using fixture = await setUp(t);
  const { proxy } = fixture;
  const cuts: number[] = [];
  let next = randomInt(3 * MEBIBYTE);
  proxy.cut = (sent) => {
    if (sent < next || cuts.length >= 6) return false;
    cuts.push(sent);
    next = sent + MEBIBYTE + randomInt(2 * CHUNK);
    return true;
  };
  const { code, stdout, stderr } = await ended(fixture.upload());
  t.is(code, 0, stderr);
  await fixture.check(stdout);
  t.true(
    proxy.sent <= SIZE + cuts.length * LARGEST_CHUNK + HEADERS,
    `${proxy.sent} bytes, cut at ${cuts.join(', ')}`,
  );
  t.log(`${cuts.length} cuts, ${proxy.sent - SIZE} of ${SIZE} bytes were sent again`);
});

test('Morpheo upload that was killed goes on when it is called again', async (t) => {
  await using fixture = await setUp(t);
  const { proxy } = fixture;
  const child = fixture.upload();
  proxy.cut = (sent) => {
    if (sent > 2 * CHUNK + MEBIBYTE) child.kill('SIGKILL');
    return false;
  };
  t.is((await ended(child)).code, null);
  proxy.cut = () => false;
  const before = proxy.sent;
  const { code, stdout, stderr } = await ended(fixture.upload());
  t.is(code, 0, stderr);
  await fixture.check(stdout);
  t.true(
    proxy.sent - before <= SIZE - 2 * CHUNK + HEADERS,
    `${proxy.sent - before} bytes were sent by the second`,
  );
});

test('An upload that storage has forgotten begins again', async (t) => {
  await using fixture = await setUp(t);
  const { proxy } = fixture;
  const child = fixture.upload();
  proxy.cut = (sent) => {
    if (sent > CHUNK + MEBIBYTE) child.kill('SIGKILL');
    return false;
  };
  await ended(child);
  proxy.cut = () => false;
  const notes = join(fixture.home, 'cli-uploads');
  const [note = ''] = await readdir(notes);
  const { url } = JSON.parse(await readFile(join(notes, note), 'utf8')) as { url: string };
  const drop = () => fetch(url, { method: 'DELETE', headers: { 'tus-resumable': '1.0.0' } });
  let dropped = await drop();
  // The service may not have noticed yet that the program is gone.
  while (dropped.status === 423) dropped = await drop();
  t.is(dropped.status, 204);
  const { code, stdout, stderr } = await ended(fixture.upload());
  t.is(code, 0, stderr);
  await fixture.check(stdout);
});
