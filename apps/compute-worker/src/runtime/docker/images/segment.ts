import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { PlatformError } from '@morpheo/common';
import { fileEntry, type TarEntry, tarOf } from '@morpheo/service/archive';
import type Docker from 'dockerode';
import { treeEntries } from '../../../archive/tar-tree.ts';
import { buildFailure } from '../../dockerfile/failure.ts';
import type { CopyAction } from '../../dockerfile/plan/actions.ts';
import { findSources, type Source } from '../../dockerfile/sources.ts';
import { type Segment, type WrittenStep, writeSegment } from '../../dockerfile/write.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { recordsOf } from './build-records.ts';
import { daemonFailure } from './daemon-failure.ts';

/** A segment of a Dockerfile to be carried out by the daemon's builder. */
export interface SegmentBuild extends Segment {
  /** What its COPY lines copy from the build context, in the order of those lines. */
  readonly copies: readonly ContextCopy[];
  /** What the image is to be called; nameless where absent. */
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Where in the Dockerfile stands what FROM and each of the steps do, for messages. */
  readonly lines: readonly number[];
}

/** Files of the build context, as a segment's own context has them: each group below a folder of its number. */
export interface ContextCopy {
  readonly folder: string;
  readonly groups: readonly (readonly Source[])[];
  readonly mode: number | undefined;
}

/**
 * Carries out a segment in the daemon's own builder, and returns the id of the image. The daemon gets the Dockerfile
 * that is written here and the files that are copied, below folders named by numbers: no file of an archive stands
 * where a builder looks for files of its own (`Dockerfile`, `.dockerignore`). No line of it runs a program.
 *
 * Throws `OrderFailure` where the segment is at fault; what the daemon itself could not do is `unavailable` or
 * `disk_full`.
 */
export async function buildSegment(
  daemon: Daemon,
  segment: SegmentBuild,
  signal: AbortSignal,
): Promise<string> {
  const tar = Readable.from(tarOf(contextOf(segment, signal)));
  // Ends the request, whatever comes: the daemon stops a build that nobody listens to.
  const listening = new AbortController();
  const query = {
    ...(segment.name === undefined ? {} : { t: segment.name }),
    labels: { ...segment.labels },
    networkmode: 'none',
    rm: true,
    forcerm: true,
    pull: false,
    // The older builder: it wants no session, and asks no registry for a frontend.
    version: '1',
    abortSignal: AbortSignal.any([signal, listening.signal]),
  } satisfies Docker.ImageBuildOptions;
  try {
    const ask = async (docker: Docker) => await docker.buildImage(tar, query);
    const answer = await daemon.ask('build an image', ask, { signal, ms: Number.POSITIVE_INFINITY });
    return await idOf(answer, daemon, segment.lines);
  } catch (error) {
    signal.throwIfAborted();
    if (isAnswer(error, 400)) throw daemonFailure(error.said, segment.lines.at(-1) ?? 1, error);
    throw error;
  } finally {
    tar.destroy();
    listening.abort();
  }
}

async function idOf(
  answer: AsyncIterable<unknown>,
  daemon: Daemon,
  lines: readonly number[],
): Promise<string> {
  let id: string | undefined;
  let line = lines.at(-1) ?? 1;
  for await (const record of recordsOf(answer, daemon, 'build an image')) {
    if (record.kind === 'error') throw daemonFailure(record.message, line);
    if (record.kind === 'image') id = record.id;
    const step = record.kind === 'text' ? /^Step (\d+)\//.exec(record.text)?.[1] : undefined;
    if (step !== undefined) line = lines[Number(step) - 1] ?? line;
  }
  if (id !== undefined) return id;
  throw new PlatformError('unavailable', `The Docker daemon at ${daemon.address.text} did not end a build.`);
}

async function* contextOf(segment: SegmentBuild, signal: AbortSignal): AsyncGenerator<TarEntry> {
  const text = Buffer.from(writeSegment(segment));
  const bytes = (async function* () {
    yield text;
  })();
  yield { name: 'Dockerfile', type: 'file', size: text.byteLength, mode: 0o644, bytes };
  for (const [number, copy] of segment.copies.entries()) {
    yield folderEntry(`${number}/`);
    for (const [group, sources] of copy.groups.entries()) {
      const prefix = `${number}/${group}/`;
      yield folderEntry(prefix);
      for (const source of sources) yield* entriesOf(copy, source, prefix, signal);
    }
  }
}

async function* entriesOf(
  { folder, mode }: ContextCopy,
  source: Source,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<TarEntry> {
  const path = join(folder, source.path);
  if (source.isFolder) yield* treeEntries(path, { prefix, mode, signal });
  else yield* fileEntry(path, { name: prefix + basename(source.path), mode: mode ?? source.mode });
}

function folderEntry(name: string): TarEntry {
  return { name, type: 'directory', size: 0, mode: 0o755 };
}

/** How a line copies from the build context: the step of the segment, and what goes into its context. */
export async function contextCopy(
  folder: string,
  copy: CopyAction,
  number: number,
): Promise<{ readonly step: WrittenStep; readonly copy: ContextCopy }> {
  const sources = await findSources(folder, copy);
  const groups = grouped(sources);
  const [only] = sources;
  const into = copy.intoFolder || sources.length > 1;
  const isNamed = only !== undefined && !only.isFolder && !into;
  const name = basename(only?.path ?? '');
  if (isNamed && /[*?[\]]/.test(name))
    throw buildFailure(
      `The name of ${name} is taken for a pattern: copy it into a folder, with a slash at its end.`,
      copy.line,
    );
  return {
    copy: { folder, groups, mode: copy.mode },
    step: {
      kind: 'copy',
      from: undefined,
      sources: isNamed ? [`${number}/0/${name}`] : groups.map((_, group) => `${number}/${group}/`),
      destination: isNamed ? copy.destination : asFolder(copy.destination),
      owner: copy.owner,
    },
  };
}

/** A path with a slash at its end. */
export function asFolder(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** Files that follow one another are copied together; of a folder what is in it is. */
function grouped(sources: readonly Source[]): Source[][] {
  const groups: Source[][] = [];
  for (const source of sources) {
    const last = groups.at(-1);
    if (last === undefined || source.isFolder || last[0]?.isFolder === true) groups.push([source]);
    else last.push(source);
  }
  return groups;
}
