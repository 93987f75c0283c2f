import * as z from 'zod';
import type { ResourceType } from './contract/resources.ts';

/** What somebody is to a resource, the closest first; see `docs/permissions.md`. */
export const RELATIONS = ['admin', 'owner', 'granted', 'open', 'none'] as const;

/**
 * What somebody is to a resource: an admin of the platform, its owner, one to whom the owner has granted it (also by a
 * group), one of all who are known where it is open to them, or none of these.
 */
export type Relation = (typeof RELATIONS)[number];

/** What may be done with a resource, or not; see {@link Action}. */
export const ACTIONS = ['describe', 'measure', 'read', 'use', 'change', 'share'] as const;

/**
 * What may be done with a resource. `describe`: see that it is there, its name, description, upload time and owner;
 * `measure`: see its digest and exact size; `read`: its bytes; `use`: name it in an order; `change`: PATCH, DELETE and
 * upload it again; `share`: say who may use it, and for what.
 */
export type Action = (typeof ACTIONS)[number];

const OWN: readonly Relation[] = ['admin', 'owner'];
const SHARED: readonly Relation[] = ['admin', 'owner', 'granted', 'open'];

/** Code, models and outputs of jobs: whoever may use them sees them whole. */
const SHOWN = { describe: SHARED, measure: SHARED, read: SHARED, use: SHARED, change: OWN, share: OWN };
/** Hidden: others may use them, and see no byte of them. */
const HIDDEN = { describe: SHARED, measure: OWN, read: OWN, use: SHARED, change: OWN, share: OWN };

/**
 * Who may do what: for each type of resource and each action, the relations to which it is allowed. An attempt with a
 * ticket reads what its order has pinned, beside this table.
 */
export const PERMISSIONS: Readonly<Record<ResourceType, Readonly<Record<Action, readonly Relation[]>>>> = {
  problem: SHOWN,
  algo: SHOWN,
  model: SHOWN,
  data: HIDDEN,
  // An order names one as an input alone, which asks for `read`.
  prediction: { ...HIDDEN, use: [] },
  output: SHOWN,
};

/** Whether the table allows an action. */
export function isAllowed(type: ResourceType, action: Action, relation: Relation): boolean {
  return PERMISSIONS[type][action].includes(relation);
}

/**
 * What may be done with a group of orders. `see`: that it is there, its figures, and which orders are in it; `add`: place
 * orders in it; `cancel` and `retry`: its orders, all at once.
 */
export const GROUP_ACTIONS = ['see', 'add', 'cancel', 'retry'] as const;

/** What may be done with a group of orders; see {@link GROUP_ACTIONS}. */
export type GroupAction = (typeof GROUP_ACTIONS)[number];

/**
 * Who may do what with a group of orders. As admins count here all who may order in the name of others: orchestrators of
 * the credentials file. To everybody else a group is not there.
 */
export const GROUP_PERMISSIONS: Readonly<Record<GroupAction, readonly Relation[]>> = {
  see: OWN,
  add: OWN,
  cancel: OWN,
  retry: OWN,
};

/** Who may use a resource beside its owner: nobody, or everybody who is known. */
export const VISIBILITIES = ['private', 'open'] as const;

/**
 * Who may use a resource beside its owner and those with a grant. `legacy`: it is from before there were owners, and
 * open until the operator says otherwise.
 */
export type Visibility = (typeof VISIBILITIES)[number] | 'legacy';

/** For what a data set may be used; see {@link Purpose}. */
export const PURPOSES = ['train', 'test', 'predict', 'open'] as const;

/** For what a data set may be used: to train, to test under named problems, to predict from, or anything. */
export type Purpose = (typeof PURPOSES)[number];

/** The most problems that a data set may name. */
export const MOST_PROBLEMS = 100;

/** The most data sets that a public sample may have, to train and to test each. */
export const MOST_SAMPLES = 100;

/** The most grants that a resource may have. */
export const MOST_GRANTS = 1000;

/**
 * To whom something is granted: `person:NAME`, `group:NAME`, or, of a data set, `problem:UUID`: whoever may use that
 * problem, in orders of it.
 */
export const grantee = z
  .string()
  .max(200)
  .regex(
    /^(?:(?:person|group):[^.:\s]{1,100}|problem:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
    'should be person:NAME, group:NAME or problem:UUID',
  );

/** As what an order names a resource; see {@link UsedAs}. */
export const USES = ['problem', 'algo', 'model', 'train', 'test', 'predict', 'input'] as const;

/**
 * As what an order names a resource. `train`, `test` and `predict` are of data sets. `input`, of any resource, hands its
 * bytes to a job, whose owner sees all that the job makes of them, and so has to be somebody who may `read` them; every
 * other use takes the right to `use` the resource.
 */
export type UsedAs = (typeof USES)[number];

/** Whether the purpose of a data set allows its use in an order of `problem` (a UUID). */
export function servesPurpose(
  data: { readonly purpose: Purpose; readonly problems: readonly string[] },
  as: 'train' | 'test' | 'predict',
  problem: string | undefined,
): boolean {
  if (data.purpose === 'open') return true;
  if (data.purpose !== as) return false;
  return as !== 'test' || (problem !== undefined && data.problems.includes(problem));
}
