import { readFile } from 'node:fs/promises';
import { isTransient, PICTURE_BOUNDS, type PictureAnswer, type PictureSet, retry } from '@morpheo/common';
import type { Context } from '../context.ts';
import type { Progress } from '../terminal/progress.ts';
import type { FoundPicture } from './folders.ts';

/** How many pictures, and about how many bytes of them, go in one request. */
const REQUEST = { pictures: Math.min(500, PICTURE_BOUNDS.lines), bytes: 8 * 1024 ** 2 } as const;
/** A service that restarts is waited for so long; the pictures have names, so that none is stored twice. */
const PATIENCE = { firstMs: 500, mostMs: 5_000, tries: 8, jitter: 0.25 } as const;

/** What was answered about a picture that was sent. */
export type SentPicture = Pick<PictureAnswer, 'status' | 'code' | 'detail'> & { readonly path: string };

/** Sends pictures to a set, in their order, and tells what was answered to each as soon as it is on disk there. */
export async function* sendPictures(
  context: Pick<Context, 'pictures' | 'signal'>,
  set: Pick<PictureSet, 'id'>,
  found: readonly FoundPicture[],
  progress: Pick<Progress, 'add'>,
): AsyncGenerator<SentPicture> {
  for (const some of requestsOf(found)) {
    const lines = await Promise.all(some.map(lineOf));
    const answers = await post(context, set.id, lines);
    for (const { line, status, code, detail } of answers) {
      const picture = some[line - 1];
      if (picture !== undefined) yield { path: picture.path, status, code, detail };
    }
    progress.add(some.length);
  }
}

async function post(
  { pictures, signal }: Pick<Context, 'pictures' | 'signal'>,
  set: string,
  lines: readonly string[],
): Promise<readonly PictureAnswer[]> {
  const blob = new Blob([...lines]);
  const send = async () =>
    await pictures().storePictures({ params: { set }, body: { body: blob.stream(), blob } }, { signal });
  const { items } = await retry(send, { ...PATIENCE, retryIf: isTransient, signal });
  return items;
}

async function lineOf({ path, name, category }: FoundPicture): Promise<string> {
  const data = (await readFile(path)).toString('base64');
  return `${JSON.stringify({ category, name, data })}\n`;
}

function* requestsOf(found: readonly FoundPicture[]): Generator<FoundPicture[]> {
  let some: FoundPicture[] = [];
  let bytes = 0;
  for (const picture of found) {
    if (some.length > 0 && (some.length >= REQUEST.pictures || bytes + picture.size > REQUEST.bytes)) {
      yield some;
      [some, bytes] = [[], 0];
    }
    some.push(picture);
    bytes += picture.size;
  }
  if (some.length > 0) yield some;
}
