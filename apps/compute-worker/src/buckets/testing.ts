import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isPlatformError, OrderFailure } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import type { TreeLimits } from '@morpheo/service/archive';
import { listObjects, openCalls, putObject } from '@morpheo/service/buckets';
import { startFakeS3, TEST_WORDS, type TestBucketOptions } from '@morpheo/service/buckets/testing';
import { memoryLog } from '@morpheo/service/log';
import type { ExecutionContext } from 'ava';
import { openConnections } from './connections.ts';

/** Bounds that no test reaches by accident. */
export const LIMITS: TreeLimits = { bytes: 1024 ** 3, files: 1000, depth: 64, pathBytes: 2048 };

/** The order of a test. */
export const ORDER = '3f1d8a52-6a3a-4c1e-9d53-0a6f0f1c2b7e';

/** What of a connection of a test is not as usual. */
export type ConnectionMembers = Readonly<Record<string, unknown>>;

/**
 * A file of connections to one bucket, all with its keys: `lab`, which everybody may read and write below `base/`, and
 * those of `others`, and a folder for files.
 */
export async function openTestConnections(
  { bucket, endpoint, credentials }: TestBucketOptions,
  others: Readonly<Record<string, ConnectionMembers>> = {},
) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(quickFolder(), 'buckets-')));
  const path = join(folder.path, 'buckets.json');
  const keys = join(folder.path, 'keys.json');
  const writeKeys = async (access_key: string, secret_key: string) =>
    await writeFile(keys, JSON.stringify({ access_key, secret_key }));
  await writeKeys(credentials.accessKeyId, credentials.secretAccessKey.reveal());
  const usual = { bucket, endpoint, credentials: 'keys.json' };
  const write = async (all: Readonly<Record<string, ConnectionMembers>>) => {
    const entries = Object.entries(all).map(([name, members]) => [name, { ...usual, ...members }]);
    await writeFile(path, JSON.stringify(Object.fromEntries(entries)));
  };
  await write({ lab: { prefix: 'base', read: '*', write: '*' }, ...others });
  const log = memoryLog();
  const connections = await openConnections(path, { log, stack, everyMs: 1 });
  const calls = stack.use(openCalls({ bucket, endpoint, credentials, words: TEST_WORDS }));
  const opened = stack.move();
  return {
    ...{ connections, path, log, write, writeKeys, calls, folder: folder.path },
    /** Puts objects by their keys. */
    put: async (objects: Readonly<Record<string, string | Uint8Array>>) => {
      for (const [key, body] of Object.entries(objects)) await putObject(calls, key, Buffer.from(body));
    },
    keys: async () => (await Array.fromAsync(listObjects(calls, ''))).map(({ name }) => name),
    /** Writes files below a folder, by their paths, and says where that is. */
    files: async (name: string, texts: Readonly<Record<string, string | Uint8Array>>) => {
      for (const [file, text] of Object.entries(texts)) {
        const at = join(folder.path, name, file);
        await mkdir(dirname(at), { recursive: true });
        await writeFile(at, text);
      }
      return join(folder.path, name);
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** All files below a folder with their texts; empty where there is no folder. */
export async function textsBelow(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const texts: Record<string, string> = {};
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    texts[path.slice(folder.length + 1)] = entry.isFile() ? await readFile(path, 'utf8') : '/';
  }
  return texts;
}

/** A server that lists these objects, by key and size. */
export async function startListing(objects: readonly (readonly [key: string, size: number])[]) {
  const written = objects.map(
    ([key, size]) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${size}</Size><ETag>"e"</ETag></Contents>`,
  );
  return await startFakeS3(({ url = '' }, response) => {
    const { searchParams, pathname } = new URL(url, 'http://fake');
    if (searchParams.get('list-type') === null) {
      response.writeHead(404).end(`<Error><Code>NoSuchKey</Code><Message>${pathname}</Message></Error>`);
      return;
    }
    const from = Number(searchParams.get('continuation-token') ?? 0);
    const next = from + 1000 < written.length ? String(from + 1000) : undefined;
    const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
    const page = written.slice(from, from + 1000).join('');
    response.end(`<ListBucketResult><EncodingType>url</EncodingType>${more}${page}</ListBucketResult>`);
  });
}

/** Expects that work fails the order in this way, or that the platform fails; the message is its text, or a pattern in it. */
export async function fails(
  t: ExecutionContext,
  work: Promise<unknown>,
  how: string,
  message: string | RegExp,
): Promise<void> {
  const error = await t.throwsAsync(work);
  const found =
    error instanceof OrderFailure ? error.end : isPlatformError(error) ? error.code : String(error?.stack);
  t.is(found, how, error?.message);
  if (typeof message === 'string') t.is(error?.message, message);
  else t.regex(error?.message ?? '', message);
}
