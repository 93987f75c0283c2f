import { type Api, PlatformError, type StorageContract } from '@morpheo/common';
import { expectedOfBody, refuseOverLimit } from './expectations.ts';
import { parseResourceId } from './resource-id.ts';
import { noSuchResource } from './resource-rows.ts';
import type { StorageParts } from './storage-parts.ts';
import { refuseTaken, storeResource } from './store-upload.ts';
import { explained } from './upload-errors.ts';
import { newId } from './upload-things.ts';

/** `POST /model?algo=…[&uuid=…]`: the body is the blob, whatever its type says, and its length must be told. */
export function uploadModelHandler(parts: StorageParts): Api<StorageContract>['uploadModel'] {
  return async ({ query, body }, call) => {
    const given = query.algo ?? '';
    const algo = parseResourceId(given, 'algo UUID');
    if ((await parts.resources.find('algo', algo)) === undefined) {
      const reason = noSuchResource('algo', algo).message;
      throw new PlatformError('not_found', `Error uploading model: algorithm ${given} not found: ${reason}`);
    }
    const uuid = newId(query.uuid, 'model UUID');
    return await explained('[Error uploading model]', async () => {
      if (body.contentLength === undefined) throw noLength();
      refuseOverLimit(body, parts.settings);
      await refuseTaken(parts, 'model', uuid);
      const { body: source, release } = body;
      const bytes = { source, release, signal: call?.signal, ...expectedOfBody(body) };
      const owner = call?.principal?.name;
      return await storeResource(parts, { type: 'model', uuid, algo, owner }, bytes);
    });
  };
}

function noLength(): PlatformError {
  return new PlatformError(
    'invalid_upload',
    "Error parsing header 'Content-Length': should be blob size in bytes. " +
      'err: strconv.ParseInt: parsing "": invalid syntax',
  );
}
