import { type MeasuredResource, measured, type OutputFile } from '@morpheo/common';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { resolveOrder, resolveResource } from '../platform/ids.ts';
import { showProgress, type Transfer } from '../terminal/progress.ts';
import { counted, humanBytes } from '../terminal/text.ts';
import { bytesOfFile, bytesOfResource, type RemoteBytes } from '../transfer/download.ts';
import { fetchFiles, fetchOutput, outputFiles } from '../transfer/fetch-output.ts';
import { saveDownload } from '../transfer/save-download.ts';

/** What the files of an output are asked for with. */
export interface OutputQuery {
  readonly type: 'job' | 'output';
  /** The id of the job, or of its output, or the beginning of it. */
  readonly id: string;
  /** A file, or a folder; all files where absent. */
  readonly path?: string | undefined;
  /** Where they go: `-` is stdout; nowhere where absent. */
  readonly target?: string | undefined;
  readonly force: boolean;
  readonly showBar: boolean;
}

/** An output, with those of its files that were asked for where they went nowhere. */
export interface ShownOutput {
  readonly resource: MeasuredResource;
  readonly files?: readonly OutputFile[];
}

/**
 * Looks up the files of an output, or of what a job has left, and downloads them where they are to go: one file to a
 * file, several into a folder that is made, and all of them as a tar archive where the name ends with `.tar`.
 */
export async function getOutput(context: Context, query: OutputQuery): Promise<ShownOutput> {
  const { storage, signal } = context;
  const { type, id, path, target } = query;
  const uuid = type === 'job' ? await outputOfJob(context, id) : await resolveResource(context, 'output', id);
  const resource = measured(await storage().get({ params: { type: 'output', uuid } }, { signal }));
  if (path === undefined && target !== undefined) {
    await getAll(context, resource, target, query);
    return { resource };
  }
  const { files, folder } = await filesAt(context, uuid, path);
  if (target === undefined) return { resource, files };
  const [file] = files;
  if (folder === undefined && file !== undefined)
    await saveDownload(
      context,
      target,
      downloadOf(context, bytesOfFile(storage(), uuid, file), query),
      query.force,
    );
  else await getFolder(context, uuid, files, { ...query, target, skipped: folder?.length ?? 0 });
  return { resource };
}

async function getAll(
  context: Context,
  resource: MeasuredResource,
  target: string,
  query: OutputQuery,
): Promise<void> {
  if (target === '-' || target.endsWith('.tar')) {
    const what = bytesOfResource(context.storage(), 'output', resource);
    return await saveDownload(context, target, downloadOf(context, what, query), query.force);
  }
  tellFetched(context, target, await fetchOutput(context, resource.uuid, target, query.showBar));
}

async function getFolder(
  context: Context,
  uuid: string,
  files: readonly OutputFile[],
  { target, skipped, showBar }: OutputQuery & { readonly target: string; readonly skipped: number },
): Promise<void> {
  if (target === '-')
    throw usageError('A folder does not go to stdout.', 'Name one of its files, or a folder with -o.');
  tellFetched(context, target, await fetchFiles(context, uuid, files, { folder: target, skipped, showBar }));
}

function tellFetched(
  { terminal }: Context,
  folder: string,
  { files, bytes }: { readonly files: number; readonly bytes: number },
): void {
  terminal.note(`fetched ${counted(files, 'file')}, ${humanBytes(bytes)}, into ${folder}; SHA-256 verified`);
}

function downloadOf({ terminal, signal }: Context, what: RemoteBytes, { showBar }: OutputQuery) {
  const progress = (transfer: Transfer) => showProgress(terminal, transfer, showBar);
  return { what, progress, signal };
}

/** The file at a path, or all below the folder there, whose path with a slash is told then. Throws a `CliError` for none. */
async function filesAt(
  context: Context,
  uuid: string,
  path = '',
): Promise<{ readonly files: OutputFile[]; readonly folder?: string }> {
  const wanted = path.replace(/^(?:\.?\/)+|\/+$/g, '');
  if (wanted === '') return { files: await Array.fromAsync(outputFiles(context, uuid, '')), folder: '' };
  // Of all paths that begin so, the path itself comes first.
  for await (const file of outputFiles(context, uuid, wanted, 1)) {
    if (file.path === wanted) return { files: [file] };
    break;
  }
  const folder = `${wanted}/`;
  const files = await Array.fromAsync(outputFiles(context, uuid, folder));
  if (files.length > 0) return { files, folder };
  throw new CliError(
    EXIT.notFound,
    `The output ${uuid} has neither a file nor a folder ${wanted}.`,
    `"morpheo get output ${uuid.slice(0, 8)}" lists what it has.`,
  );
}

/** The id of what a job has left. Throws a `CliError` where that is nothing. */
async function outputOfJob(context: Context, text: string): Promise<string> {
  const id = await resolveOrder(context, text);
  const order = await context.compute().getOrder({ params: { id } }, { signal: context.signal });
  if (order.kind !== 'job')
    throw usageError(
      `The order ${id} is no job, but of the kind ${order.kind}.`,
      `"morpheo orders show ${id.slice(0, 8)}" shows what it has made.`,
    );
  const uuid = order.result?.uuid;
  const { bucket, storage } = order.job?.outputs ?? {};
  if (uuid !== undefined && order.job?.output !== undefined && storage !== false) return uuid;
  const where =
    bucket === undefined ? '' : ` Its outputs go to bucket:${bucket.connection}/${bucket.prefix}.`;
  throw new CliError(
    EXIT.notFound,
    `The job ${id} has left nothing on storage: it is ${order.status}.${where}`,
  );
}
