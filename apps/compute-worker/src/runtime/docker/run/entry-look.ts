import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { ArchiveReader } from '@morpheo/service/archive';
import { type EntryFile, HEAD_BYTES, withReason } from '../../entry-file.ts';
import type { AnyRun, RunResult } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import type { ReadyImage } from '../images/images.ts';
import { LABELS, type Owner } from '../labels.ts';
import { wordsOf } from './create.ts';

/** Links may lead so far. */
const LINKS = 10;

/**
 * How a run ended, with the reason in words where its entry point is a file that cannot be run; see `withReason`. It is
 * looked for in a container of the image that is never started, and that has no data of the run.
 */
export async function withReasonOfImage(
  result: RunResult,
  { image, spec }: { readonly image: ReadyImage; readonly spec: AnyRun },
  { daemon, owner, signal }: { readonly daemon: Daemon; readonly owner: Owner; readonly signal: AbortSignal },
): Promise<RunResult> {
  const container = new Container(daemon, `morpheo-look-${randomBytes(8).toString('hex')}`);
  let made: Promise<string> | undefined;
  const look = async (path: string) => {
    made ??= container.create({
      Image: image.name,
      Entrypoint: ['/none'],
      Labels: { [LABELS.worker]: owner.worker, [LABELS.boot]: owner.boot },
      NetworkDisabled: true,
      HostConfig: { NetworkMode: 'none' },
    });
    await made;
    return await lookAt(daemon, container.name, path, signal);
  };
  const { searchPath, workingFolder } = image;
  const words = image.entryPoint.length > 0 ? image.entryPoint : wordsOf(image, spec);
  try {
    return await withReason(result, { words, searchPath, workingFolder, mounts: spec.mounts, look });
  } finally {
    if (made !== undefined) await container.remove().catch(() => undefined);
  }
}

async function lookAt(daemon: Daemon, name: string, path: string, signal: AbortSignal): Promise<EntryFile> {
  let at = path;
  for (let links = 0; links < LINKS; links += 1) {
    const found = await firstEntry(daemon, name, at, signal);
    if (typeof found !== 'string') return found;
    at = posix.resolve(posix.dirname(at), found);
  }
  return { kind: 'absent' };
}

/** What stands at a path; where a link leads, as text. */
async function firstEntry(
  daemon: Daemon,
  name: string,
  path: string,
  signal: AbortSignal,
): Promise<EntryFile | string> {
  try {
    const request = { method: 'GET', path: `/containers/${name}/archive`, query: { path }, signal } as const;
    const answer = await daemon.stream('show a file', request);
    try {
      for await (const { header, bytes } of new ArchiveReader(answer, false).entries(signal)) {
        const { kind, executable, link } = header;
        if (kind === 'symlink') return link;
        if (kind !== 'file') return { kind: 'folder' };
        return { kind: 'file', executable, head: await headOf(bytes()) };
      }
    } finally {
      answer.destroy();
    }
    return { kind: 'absent' };
  } catch (error) {
    if (isAnswer(error, 404)) return { kind: 'absent' };
    throw error;
  }
}

async function headOf(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length >= HEAD_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}
