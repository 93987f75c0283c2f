import type { Api, BytesIn, StorageContract } from '@morpheo/common';
import { requireResource } from '../http/resources.ts';
import {
  type Changed,
  changeProblem,
  findResource,
  type Permit,
  type ProblemChange,
} from '../metadata/resources.ts';
import type { StorageParts } from '../parts.ts';
import { explained, recorded } from './errors.ts';
import { announcedBytes, expectedOfForm, refuseOverLimit } from './expectations.ts';
import { checkForm, readUploadForm } from './fields.ts';
import { multipartBoundary, notMultipart, parseMediaType, readMultipart } from './multipart.ts';
import { refuseTaken } from './store.ts';

/** `PATCH /problem/:uuid`: the parts of an upload, all optional; a uuid renames, a blob replaces. */
export function patchProblemHandler(parts: StorageParts): Api<StorageContract>['patchProblem'] {
  return async ({ params, body }, call) => {
    const place = { type: 'problem', uuid: params.uuid } as const;
    const { uuid, owner } = await requireResource(parts, place, 'change', call);
    const caller = await parts.permissions.askerOf(parts.database.read, call);
    const permit: Permit = (transaction, row) =>
      parts.permissions.require(transaction, caller, 'change', row);
    return await explained('[Error patching problem]', async () => {
      refuseOverLimit(body, parts.settings);
      const changing = { uuid, owner, body, signal: call?.signal, permit, admin: caller.admin };
      const { resource, freed } = await change(parts, changing);
      await parts.keeper.release(freed);
      return resource;
    });
  };
}

interface Changing {
  /** The problem's id as it is. */
  readonly uuid: string;
  readonly owner: string;
  readonly body: BytesIn;
  readonly signal: AbortSignal | undefined;
  readonly permit: Permit;
  readonly admin: boolean;
}

async function change(
  parts: StorageParts,
  { uuid, owner, body, signal, permit, admin }: Changing,
): Promise<Changed> {
  const boundary = multipartBoundary(body.contentType ?? '');
  if (boundary === null) throw notMultipart(parseMediaType(body.contentType).essence);
  using reader = readMultipart(body.body, boundary);
  const { fields, blob } = await readUploadForm(reader, (taken) =>
    refuseTaken(parts, { type: 'problem', uuid: taken, admin, owner }),
  );
  checkForm('problem', fields, { change: true, blob: blob !== null });
  const { uuid: newUuid, name, description } = fields;
  const wanted = { uuid: newUuid, name, description, admin };
  const record = (changes: ProblemChange) =>
    recorded('problem', newUuid ?? uuid, () => changeProblem(parts.database, uuid, changes, permit));
  if (blob === null) return await record(wanted);
  const expected = expectedOfForm(fields, parts.settings);
  const whose = { type: 'problem', owner } as const;
  const options = { ...expected, signal, limit: parts.settings.maxUploadBytes, whose };
  const before = await findResource(parts.database.read, 'problem', uuid);
  const how = { announced: announcedBytes(fields, body), frees: before?.size };
  using budget = await parts.budgets.open(before?.owner, how);
  const { quotaOf } = parts.budgets;
  await using stored = await parts.keeper.receive(budget.metered(blob), options);
  const changed = await record({ ...wanted, blob: stored, quotaOf });
  await stored.commit();
  await reader.finish();
  return changed;
}
