import {
  type Call,
  issueMessage,
  type NewPicture,
  newPicture,
  PICTURE_BOUNDS,
  type PictureAnswer,
  PlatformError,
  toPlatformError,
} from '@morpheo/common';
import { chunksOf, type Line } from '@morpheo/service/http';
import type { DiceboxDatabase, PictureSetRow } from '../db/schema.ts';
import { readBase64 } from '../pixels/picture.ts';
import { pictureBytes } from './shard.ts';
import { type Fate, prepare, type ReadyPicture, storePictures } from './store.ts';

/** How many pictures go to disk together, about how many bytes of lines, and how many of what they become. */
const CHUNK = { most: 200, bytes: 8 * 1024 ** 2, pixels: 32 * 1024 ** 2 } as const;
/** The longest line: a picture in Base64, and what is said of it. */
const LINE_BYTES = Math.ceil((PICTURE_BOUNDS.bytes * 4) / 3) + 64 * 1024;

const CODES: Readonly<Record<Exclude<Fate, 'taken'>, number>> = { stored: 201, known: 200 };

/**
 * Stores the pictures of lines, and answers each: those that are good are on disk then. What is behind the bound of lines is
 * refused by one answer.
 */
export async function storeLines(
  database: DiceboxDatabase,
  set: PictureSetRow,
  body: AsyncIterable<Uint8Array>,
  signal: Call['signal'],
): Promise<PictureAnswer[]> {
  const answers: PictureAnswer[] = [];
  const { bytes } = CHUNK;
  for await (const lines of chunksOf(body, { most: storedTogether(set), bytes, lineBytes: LINE_BYTES })) {
    signal?.throwIfAborted();
    const room = PICTURE_BOUNDS.lines - answers.length;
    answers.push(...(await storeSome(database, set, lines.slice(0, room))));
    const beyond = lines[room];
    if (beyond === undefined) continue;
    answers.push(refusal(beyond.line, tooMany()));
    break;
  }
  return answers;
}

/** How many pictures of a set go to disk together. A few bytes become many pixels, and those of all are held until then. */
export function storedTogether(set: Pick<PictureSetRow, 'width' | 'height' | 'channels'>): number {
  return Math.min(CHUNK.most, Math.max(1, Math.floor(CHUNK.pixels / pictureBytes(set))));
}

async function storeSome(
  database: DiceboxDatabase,
  set: PictureSetRow,
  lines: readonly Line[],
): Promise<PictureAnswer[]> {
  const looked = await Promise.all(lines.map(async ({ text }) => await look(set, text)));
  const good = looked.filter((one): one is ReadyPicture => !(one instanceof PlatformError));
  const fates = (await storePictures(database, set.id, good)).values();
  return lines.map(({ line }, at) => {
    const one = looked[at];
    if (one instanceof PlatformError) return refusal(line, one);
    const fate = fates.next().value ?? 'stored';
    return fate === 'taken' ? refusal(line, taken(one?.name)) : { line, status: CODES[fate] };
  });
}

/** A picture that can be stored, or why it cannot. */
async function look(set: PictureSetRow, text: Line['text']): Promise<ReadyPicture | PlatformError> {
  try {
    const { category, name, data } = read(text);
    return await prepare(set, { category, name, bytes: readBase64(data, '`data`') });
  } catch (error) {
    return toPlatformError(error);
  }
}

function read(text: Line['text']): NewPicture {
  if (text instanceof PlatformError) throw text;
  const result = newPicture.safeParse(parse(text));
  if (result.success) return result.data;
  const told = result.error.issues.map(
    (issue) => `${issue.path.join('.') || 'the line'}: ${issueMessage(issue)}`,
  );
  throw new PlatformError('invalid_request', told.join('; '));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('invalid_json', `The line is not JSON: ${why}.`, { cause });
  }
}

/** How much of a reason is told: it may repeat what stands in a line. */
const MOST_DETAIL = 500;

function refusal(line: number, { status, code, message }: PlatformError): PictureAnswer {
  return { line, status, code, detail: message.slice(0, MOST_DETAIL) };
}

function taken(name: string | null | undefined): PlatformError {
  return new PlatformError('conflict', `The set has another picture called ${JSON.stringify(name)}.`);
}

function tooMany(): PlatformError {
  const message = `At most ${PICTURE_BOUNDS.lines} pictures are taken at once: neither this line nor any behind it was read.`;
  return new PlatformError('too_large', message);
}
