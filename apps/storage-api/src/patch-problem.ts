import { type Api, type BytesIn, PlatformError, type StorageContract } from '@morpheo/common';
import { announcedBytes, expectedOfForm, refuseOverLimit } from './expectations.ts';
import { multipartBoundary, notMultipart, parseMediaType, readMultipart } from './multipart.ts';
import { parseResourceId } from './resource-id.ts';
import { noSuchResource } from './resource-rows.ts';
import type { Changed } from './resource-store.ts';
import type { StorageParts } from './storage-parts.ts';
import { refuseTaken } from './store-upload.ts';
import { explained, recorded } from './upload-errors.ts';
import { checkForm, readUploadForm } from './upload-form.ts';

/** `PATCH /problem/:uuid`: the parts of an upload, all optional; a uuid renames, a blob replaces. */
export function patchProblemHandler(parts: StorageParts): Api<StorageContract>['patchProblem'] {
  return async ({ params, body }, call) => {
    const uuid = parseResourceId(params.uuid);
    if ((await parts.resources.find('problem', uuid)) === undefined) {
      const { message } = noSuchResource('problem', uuid);
      throw new PlatformError('not_found', `Error retrieving problem ${params.uuid}: ${message}`);
    }
    return await explained('[Error patching problem]', async () => {
      refuseOverLimit(body, parts.settings);
      const { resource, freed } = await change(parts, uuid, body, call?.signal);
      await parts.keeper.release(freed);
      return resource;
    });
  };
}

async function change(
  parts: StorageParts,
  uuid: string,
  body: BytesIn,
  signal: AbortSignal | undefined,
): Promise<Changed> {
  const boundary = multipartBoundary(body.contentType ?? '');
  if (boundary === null) throw notMultipart(parseMediaType(body.contentType).essence);
  using reader = readMultipart(body.body, boundary, body.release);
  const { fields, blob } = await readUploadForm(reader, (taken) => refuseTaken(parts, 'problem', taken));
  checkForm('problem', fields, { change: true, blob: blob !== null });
  const { uuid: newUuid, name, description } = fields;
  const wanted = { uuid: newUuid, name, description };
  const record = (what: Parameters<StorageParts['resources']['changeProblem']>[1]) =>
    recorded('problem', newUuid ?? uuid, () => parts.resources.changeProblem(uuid, what));
  if (blob === null) return await record(wanted);
  const expected = expectedOfForm(fields, parts.settings);
  const options = { ...expected, signal, limit: parts.settings.maxUploadBytes };
  const before = await parts.resources.find('problem', uuid);
  const how = { announced: announcedBytes(fields, body), frees: before?.size };
  using allowance = await parts.allowances.open(before?.owner, how);
  const { quotaOf } = parts.allowances;
  const changed = await parts.keeper.keep(allowance.metered(blob), options, (stored) =>
    record({ ...wanted, blob: stored, quotaOf }),
  );
  await reader.finish();
  return changed;
}
