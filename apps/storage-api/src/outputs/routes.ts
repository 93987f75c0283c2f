import { type Api, type Call, OUTPUT_PAGE, PlatformError, type StorageContract } from '@morpheo/common';
import { shownPath } from '@morpheo/service/archive';
import type { Conditions } from '../downloads/conditions.ts';
import { readableThing, sendBytes } from '../downloads/downloads.ts';
import type { StorageParts } from '../parts.ts';
import { findFile, listFiles } from './files.ts';

type Routes = Pick<Api<StorageContract>, 'listOutputFiles' | 'getOutputFile' | 'headOutputFile'>;

/** The routes that tell which files the output of a job has, and send them one by one. */
export function outputHandlers(parts: StorageParts): Routes {
  const { read } = parts.database;
  const outputOf = async (uuid: string, call: Call | undefined) =>
    await readableThing(parts, { type: 'output', uuid }, call);

  const file = async (
    method: 'GET' | 'HEAD',
    { uuid, path }: { readonly uuid: string; readonly path: string },
    conditions: Conditions,
    call: Call | undefined,
  ) => {
    const output = await outputOf(uuid, call);
    const found = await findFile(read, output.sha256, path);
    if (found === undefined)
      throw new PlatformError(
        'not_found',
        `The output ${output.uuid} has no file ${shownPath(path)}: GET /v1/outputs/${output.uuid}/files lists what it has.`,
      );
    const { size, sha256, offset } = found;
    const fileName = path.slice(path.lastIndexOf('/') + 1);
    const part = { blob: output.sha256, offset };
    const sent = { name: `output ${output.uuid}, file ${shownPath(path)}`, fileName, size, sha256, part };
    return await sendBytes(parts, method, sent, conditions);
  };

  return {
    listOutputFiles: async ({ params, query }, call) => {
      const { prefix = '', cursor: after = '', limit = OUTPUT_PAGE.usual } = query;
      const { sha256: blob } = await outputOf(params.uuid, call);
      const { files, goesOn } = await listFiles(read, blob, { prefix, after, limit });
      const next = goesOn ? files.at(-1)?.path : undefined;
      const items = files.map(({ path, size, sha256 }) => ({ path, size, sha256 }));
      return { items, ...(next === undefined ? {} : { next }) };
    },
    getOutputFile: ({ params: { uuid }, query: { path }, headers }, call) =>
      file('GET', { uuid, path }, headers, call),
    headOutputFile: ({ params: { uuid }, query: { path }, headers }, call) =>
      file('HEAD', { uuid, path }, headers, call),
  };
}
