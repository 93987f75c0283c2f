import { appendFile, mkdir, mkdtempDisposable, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { extract } from 'tar-stream';
import { fileEntry, type TarEntry, tarOf } from './index.ts';

/** What an archive has: name, type, mode, owner, time and content of each entry. */
async function contents(archive: AsyncIterable<Uint8Array>): Promise<unknown[]> {
  const entries: unknown[] = [];
  const reader = extract();
  reader.on('entry', ({ name, type, mode, uid, mtime }, stream, next) => {
    const chunks: Uint8Array[] = [];
    stream.on('data', (chunk) => chunks.push(chunk as Uint8Array));
    stream.on('end', () => {
      entries.push([name, type, mode, uid, mtime?.getTime(), Buffer.concat(chunks).toString()]);
      next();
    });
  });
  const { promise: finished, resolve, reject } = Promise.withResolvers<void>();
  reader.on('finish', resolve).on('error', reject);
  for await (const chunk of archive) reader.write(chunk);
  reader.end(undefined);
  await finished;
  return entries;
}

async function drain(archive: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of archive) size += chunk.byteLength;
  return size;
}

async function* once(entry: TarEntry): AsyncGenerator<TarEntry> {
  yield entry;
}

async function* bytesOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

const LARGE = 4 * 1024 * 1024;

test('Files and folders are packed with what is said of them, and no times', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'tar-'));
  await writeFile(join(folder.path, 'empty'), '');
  await writeFile(join(folder.path, 'full'), 'content');
  async function* entries(): AsyncGenerator<TarEntry> {
    yield { name: 'folder/', type: 'directory', size: 0, mode: 0o755 };
    yield* fileEntry(join(folder.path, 'empty'), { name: 'folder/empty', mode: 0o644 });
    const owner = { uid: 1000, gid: 1000 };
    yield* fileEntry(join(folder.path, 'full'), { name: 'folder/full', mode: 0o755, owner, size: 7 });
  }
  t.deepEqual(await contents(tarOf(entries())), [
    ['folder/', 'directory', 0o755, 0, 0, ''],
    ['folder/empty', 'file', 0o644, 0, 0, ''],
    ['folder/full', 'file', 0o755, 1000, 0, 'content'],
  ]);
});

test('An entry of more or fewer bytes than it says is refused', async (t) => {
  for (const bytes of [bytesOf('four'), bytesOf('three', 'three')]) {
    const archive = tarOf(once({ name: 'file', type: 'file', size: 5, mode: 0o644, bytes }));
    await t.throwsAsync(drain(archive), {
      code: 'internal',
      message: 'The file file changed while it was packed.',
    });
  }
  const own = tarOf(once({ name: 'file', type: 'file', size: 5, mode: 0o644, bytes: bytesOf('four') }), {
    changed: (name) => new Error(`${name} is another`),
  });
  await t.throwsAsync(drain(own), { message: 'file is another' });
});

test('A file that is not what it was is refused, and a link is not followed', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'tar-'));
  const path = join(folder.path, 'file');
  await writeFile(path, 'content');
  await mkdir(join(folder.path, 'folder'));
  await symlink(path, join(folder.path, 'link'));
  const pack = (name: string, size?: number) =>
    drain(tarOf(fileEntry(join(folder.path, name), { name, mode: 0o644, size })));
  await t.throwsAsync(pack('file', 8), { code: 'internal' });
  await t.throwsAsync(pack('folder'), { code: 'internal' });
  await t.throwsAsync(pack('link'), { code: 'ELOOP' });
  t.true((await pack('file', 7)) > 7);
});

test('What a file gets while it is read is left out', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'tar-'));
  const path = join(folder.path, 'file');
  await writeFile(path, Buffer.alloc(LARGE, 'a'));
  async function* entries(): AsyncGenerator<TarEntry> {
    for await (const entry of fileEntry(path, { name: 'file', mode: 0o644 })) {
      await appendFile(path, 'more');
      yield entry;
    }
  }
  const [entry] = await contents(tarOf(entries()));
  t.is((entry as string[]).at(-1)?.length, LARGE);
});

test('What the entries throw leaves the archive as it was thrown', async (t) => {
  const reason = new Error('on purpose');
  async function* entries(): AsyncGenerator<TarEntry> {
    yield { name: 'folder/', type: 'directory', size: 0, mode: 0o755 };
    throw reason;
  }
  t.is(await t.throwsAsync(drain(tarOf(entries()))), reason);
});

test('An archive that is left early ends its entries', async (t) => {
  let state = 'open';
  async function* entries(): AsyncGenerator<TarEntry> {
    try {
      const bytes = bytesOf(...Array.from({ length: 64 }, () => 'x'.repeat(65_536)));
      yield { name: 'file', type: 'file', size: LARGE, mode: 0o644, bytes };
      t.fail('the archive asks for more');
    } finally {
      state = 'closed';
    }
  }
  for await (const chunk of tarOf(entries())) {
    t.true(chunk.byteLength > 0);
    break;
  }
  t.is(state, 'closed');
});
