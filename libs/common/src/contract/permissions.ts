import * as z from 'zod';
import { canaries } from '../canaries.ts';
import { disclosure } from '../disclosure.ts';
import {
  ACTIONS,
  grantee,
  MOST_GRANTS,
  MOST_PROBLEMS,
  MOST_SAMPLES,
  PURPOSES,
  RELATIONS,
  VISIBILITIES,
} from '../permissions.ts';
import { rawUuid, uuid } from '../uuid.ts';
import { ANYONE_KNOWN, json } from './contract.ts';
import { RESOURCE_TYPES } from './resources.ts';

const sampleData = z.array(uuid).max(MOST_SAMPLES);

/**
 * Data sets of a problem's owner that are open to everybody: all that an order does with these alone is shown to everybody. Where
 * there are some to train and some to test, the platform runs an algorithm that failed on hidden data on them.
 */
export const sample = z.strictObject({ train_data: sampleData, test_data: sampleData });

/** See {@link sample}. */
export type Sample = z.infer<typeof sample>;

/** Who may use a resource, and for what: what stands in its place beside its bytes. */
export const permissions = z.object({
  type: z.enum(RESOURCE_TYPES),
  uuid: z.string(),
  /** By name; empty: it belongs to the admins. */
  owner: z.string(),
  visibility: z.enum([...VISIBILITIES, 'legacy']),
  /** data: for what it may be used. */
  purpose: z.enum(PURPOSES).optional(),
  /** data: the ids of the problems that it tests. */
  problems: z.array(z.string()).optional(),
  /** problem: what of its orders reaches those who may not read their data. */
  disclosure: disclosure.optional(),
  /** problem: its public sample. */
  sample: sample.optional(),
  /** problem: its canaries; told to those alone who may share it. */
  canaries: z.array(z.string()).optional(),
  /** To whom it is granted; told to those alone who may share it. */
  grants: z.array(z.string()).optional(),
  /** What the caller is to it, and may do with it. */
  yours: z.object({ relation: z.enum(RELATIONS), actions: z.array(z.enum(ACTIONS)) }),
});

/** See {@link permissions}. */
export type PermissionsView = z.infer<typeof permissions>;

/** What changes of the permissions of a resource; what is absent stays. */
export const permissionsChange = z.object({
  visibility: z.enum(VISIBILITIES).optional(),
  /** data alone. */
  purpose: z.enum(PURPOSES).optional(),
  /** The problems that the data set tests, all of them; with the purpose `test` alone, which needs one at least. */
  problems: z.array(uuid).max(MOST_PROBLEMS).optional(),
  /** problem alone: what of its orders reaches those who may not read their data; a step that is absent stays. */
  disclosure: disclosure.partial().optional(),
  /** problem alone: its public sample, all of it: open data sets of the problem's owner. */
  sample: sample.optional(),
  /** problem alone: strings that occur in its hidden targets and nowhere else, all of them. */
  canaries: canaries.optional(),
  /** To whom it is granted beside those who have a grant already. */
  grant: z.array(grantee).max(MOST_GRANTS).optional(),
  /** From whom a grant is taken; orders that hold it already go on. */
  revoke: z.array(grantee).max(MOST_GRANTS).optional(),
});

/** See {@link permissionsChange}. */
export type PermissionsChange = z.infer<typeof permissionsChange>;

const place = { path: '/v1/permissions/:type/:uuid', access: ANYONE_KNOWN } as const;
const params = z.object({ type: z.enum(RESOURCE_TYPES), uuid: rawUuid });

/** Who may use what, and how an owner says so. */
export const permissionEndpoints = {
  getPermissions: {
    ...place,
    method: 'GET',
    summary: 'Whose a resource is, who may use it, and what the caller may do with it',
    params,
    status: 200,
    response: json(permissions),
    errors: ['invalid_request', 'not_found'],
  },
  setPermissions: {
    ...place,
    method: 'PUT',
    summary:
      'Say who may use a resource, a data set for what, and what a problem discloses: its owner and admins may',
    description:
      'What is absent stays. Grants are to `person:NAME`, `group:NAME` and, of data, `problem:UUID`: whoever may use ' +
      'that problem, in orders of it. `disclosure` holds where all data of an order trusts the owner of its problem; ' +
      'else the default does. Orders that were checked before go on as they were.',
    params,
    body: json(permissionsChange),
    status: 200,
    response: json(permissions),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'forbidden'],
  },
} as const;
