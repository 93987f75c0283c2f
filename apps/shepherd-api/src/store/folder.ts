import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { access, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { errnoOf, isDiskFull, PlatformError } from '@morpheo/common';
import type { JobStore, StoredFile } from './store.ts';

/** What is being written lies here, on the same disk, until it is whole: no bucket has such a name. */
const PARTS = '.parts';

/**
 * Buckets as folders of a folder, which is made where it is not there: for where no store of buckets is configured. Rejects
 * with `unavailable` where it cannot be.
 */
export async function openFolderStore(folder: string): Promise<JobStore> {
  const parts = join(folder, PARTS);
  await told(async () => {
    await rm(parts, { recursive: true, force: true });
    await mkdir(parts, { recursive: true });
  });
  const at = (bucket: string) => join(folder, bucket);
  // Where the folder itself is gone, nothing is known of what lay in it.
  const looked = async <T>(call: () => Promise<T>) =>
    await told(async () => {
      const found = await unlessMissing(call);
      if (found === undefined) await access(parts);
      return found;
    });
  const store: JobStore = {
    create: async (bucket) => await told(async () => await makeFolder(at(bucket))),
    has: async (bucket) => (await looked(async () => await stat(at(bucket))))?.isDirectory() === true,
    list: (bucket, prefix) => listFiles(at(bucket), prefix, looked),
    stat: async (bucket, name) => {
      const found = isPlain(name) ? await looked(async () => await stat(join(at(bucket), name))) : undefined;
      return found?.isFile() === true ? { size: found.size, storedAt: found.mtime } : undefined;
    },
    read: async (bucket, name) => {
      const file = isPlain(name) ? await looked(async () => await open(join(at(bucket), name))) : undefined;
      return file && (await told(async () => await readFile(file)));
    },
    put: async (bucket, name, bytes, only) => {
      await demandBucket(store, bucket);
      await told(async () => await place(parts, at(bucket), name, [bytes], only));
    },
    write: async (bucket, name, bytes) => {
      await demandBucket(store, bucket);
      await told(async () => await place(parts, at(bucket), name, bytes));
    },
    ping: async () => await told(async () => await access(parts)),
    [Symbol.asyncDispose]: async () => undefined,
  };
  return store;
}

type Looked = <T>(call: () => Promise<T>) => Promise<T | undefined>;

async function demandBucket(store: JobStore, bucket: string): Promise<void> {
  if (await store.has(bucket)) return;
  throw new PlatformError('not_found', `There is no bucket ${bucket}.`);
}

/** Whether a name leads to a file below its bucket, and nowhere else. */
function isPlain(name: string): boolean {
  return (
    !name.includes('\0') && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

async function makeFolder(path: string): Promise<'made' | 'there'> {
  try {
    await mkdir(path);
    return 'made';
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return 'there';
    throw error;
  }
}

async function* listFiles(bucket: string, prefix: string, looked: Looked) {
  const all = async () => await readdir(bucket, { recursive: true, withFileTypes: true });
  for (const entry of (await looked(all)) ?? []) {
    const name = nameOf(entry, bucket);
    if (!entry.isFile() || !name.startsWith(prefix)) continue;
    const found = await looked(async () => await stat(join(entry.parentPath, entry.name)));
    if (found !== undefined) yield { name: name.slice(prefix.length), size: found.size };
  }
}

function nameOf({ parentPath, name }: Dirent, bucket: string): string {
  return relative(bucket, join(parentPath, name)).replaceAll(sep, '/');
}

async function readFile(file: FileHandle): Promise<StoredFile | undefined> {
  const found = await file.stat();
  if (found.isFile()) return { size: found.size, body: bodyOf(file) };
  await file.close();
  return undefined;
}

/** The bytes of a file, which is closed at their end, and where they are cancelled. */
function bodyOf(file: FileHandle): ReadableStream<Uint8Array> {
  const pieces: AsyncIterator<Uint8Array> = file
    .createReadStream({ autoClose: false })
    [Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done !== true) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        await file.close();
      },
      cancel: async () => await file.close(),
    },
    { highWaterMark: 0 },
  );
}

async function place(
  parts: string,
  bucket: string,
  name: string,
  bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  only?: 'new',
): Promise<void> {
  if (!isPlain(name))
    throw new PlatformError('invalid_request', `${JSON.stringify(name)} is no name of a file.`);
  const part = join(parts, randomUUID());
  const target = join(bucket, name);
  try {
    {
      await using file = await open(part, 'wx');
      for await (const piece of bytes) await file.writeFile(piece);
      await file.sync();
    }
    await inFolder(
      target,
      async () => await (only === undefined ? rename(part, target) : linkNew(part, target)),
    );
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Makes the folder of a file where it is not there. */
async function inFolder(target: string, call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(target), { recursive: true });
    await call();
  }
}

async function linkNew(part: string, target: string): Promise<void> {
  try {
    await link(part, target);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  await rm(part);
}

async function unlessMissing<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** What a call of the disk threw, as an error that says whether trying again may help. */
async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (errnoOf(cause) === undefined || cause instanceof PlatformError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const code = isDiskFull(cause) ? 'disk_full' : 'unavailable';
    throw new PlatformError(code, `The folder of buckets cannot be used: ${reason}.`, { cause });
  }
}
