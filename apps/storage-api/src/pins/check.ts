import {
  ANONYMOUS,
  isAllowed,
  type MissingUse,
  type PinAnswer,
  type PinRequest,
  type Sample,
} from '@morpheo/common';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import type { PeopleRights } from '../people/rights.ts';
import { type GranteesByKey, grantedAmong, granteesOfAll, keyOf } from '../permissions/grants.ts';
import { type Asker, type PermissionRules, relationTo } from '../permissions/relations.ts';
import { missingRights, type RightsQuestion } from '../permissions/rights.ts';
import { isPublic, publicSamplesOf } from './samples.ts';
import { modelsAlgo, type Things } from './things.ts';

/** Why an order was not pinned. */
export type Refusal = Extract<PinAnswer, { outcome: 'refused' }>;

/** By what it is decided whether an order may name what it names. */
export interface OrderRules {
  readonly people: PeopleRights;
  readonly rules: PermissionRules;
  /** What orders show is limited for nobody. */
  readonly outputsOpen: boolean;
}

/** What orders are checked by. */
export interface Standing {
  /** Their owners, by name. */
  readonly askers: ReadonlyMap<string, Asker>;
  /** To whom the things that they name are granted. */
  readonly grantees: GranteesByKey;
  /** What is public of the samples of their problems, by the problem's id. */
  readonly samples: ReadonlyMap<string, Sample>;
}

/** Looks up the {@link Standing} of orders. */
export async function standingOf(
  transaction: StorageTransaction,
  people: PeopleRights,
  requests: readonly PinRequest[],
  things: Things,
): Promise<Standing> {
  const named = new Map(requests.flatMap(({ uses }) => uses.map((use) => [keyOf(use), use] as const)));
  const grantees = await granteesOfAll(transaction, [...named.values()]);
  const problems = [...things.values()].filter(({ type }) => type === 'problem');
  return {
    askers: await askersOf(transaction, people, requests),
    grantees,
    samples: await publicSamplesOf(transaction, problems),
  };
}

/** So much of what is missing is told: the rest of a long list says nothing more. */
const MOST_TOLD = 100;

/** What came of checking orders. */
export interface Checked {
  /** Of those that lack what they name, or the right to it, by order. */
  readonly refusals: ReadonlyMap<string, Refusal>;
  /** What there is for each order, by order: what its owner may not even see is absent. */
  readonly visible: ReadonlyMap<string, Things>;
}

/** Checks whether what orders name is there, and whether their owners may use it. */
export async function checkOrders(
  transaction: StorageTransaction,
  { rules, outputsOpen }: Pick<OrderRules, 'rules' | 'outputsOpen'>,
  { askers, grantees }: Pick<Standing, 'askers' | 'grantees'>,
  requests: readonly PinRequest[],
  things: Things,
): Promise<Checked> {
  const refusals = new Map<string, Refusal>();
  const visible = new Map<string, Things>();
  for (const request of requests) {
    const asker = askers.get(request.owner);
    if (asker === undefined) throw new Error(`Nobody has looked up who ${request.owner} is`);
    const question = { things, grantees, rules, asker, outputsOpen };
    const seen = await visibleTo(transaction, question, request);
    const refused = refusalOf(request, things, { ...question, things: seen });
    visible.set(request.order, seen);
    if (refused !== undefined) refusals.set(request.order, refused);
  }
  return { refusals, visible };
}

function refusalOf(request: PinRequest, all: Things, known: RightsQuestion): Refusal | undefined {
  // First: the other checks tell what its owner may use, who has not placed an order of the platform.
  const secret = request.public_only === true ? secretData(request, all) : [];
  if (secret.length > 0) return refusal(request.order, 'forbidden', secretMessage(secret), secret);
  const missing = missingThings(request, known.things);
  if (missing.length > 0)
    return refusal(request.order, 'input_not_found', inputMessage(request, missing), missing);
  const rights = missingRights(known, request.uses);
  return rights.length === 0
    ? undefined
    : refusal(request.order, 'forbidden', rightsMessage(request, rights), rights);
}

/** What there is for an order: without what its owner may not even see, of which a refusal must tell nothing. */
async function visibleTo(
  transaction: StorageTransaction,
  question: RightsQuestion,
  request: PinRequest,
): Promise<Things> {
  const { things, rules, asker } = question;
  const isSeen = (row: ResourceRow, granted: boolean) =>
    isAllowed(row.type, 'describe', relationTo(row, granted, asker, rules));
  const lacking = missingRights(question, request.uses).flatMap((use) =>
    use.need === 'use' || use.need === 'read' ? (things.get(keyOf(use)) ?? []) : [],
  );
  const others = lacking.filter((row) => !isSeen(row, false));
  if (others.length === 0) return things;
  const granted = await grantedAmong(transaction, others, asker, rules);
  const hidden = new Set(others.filter((row) => !isSeen(row, granted.has(keyOf(row)))).map(keyOf));
  if (hidden.size === 0) return things;
  const rest = new Map([...things].filter(([key]) => !hidden.has(key)));
  // Without its problem an order may lack data that was granted to that.
  return await visibleTo(transaction, { ...question, things: rest }, request);
}

/** The refusal of an order whose result would have an id that is taken. */
export function takenRefusal({ order, produces: { type, uuid } }: PinRequest): Refusal {
  const message = `The id ${uuid} belongs to another ${type} already, or is kept for one: order with an id that is free.`;
  return refusal(order, 'invalid_result', message, []);
}

function refusal(
  order: string,
  reason: Refusal['reason'],
  message: string,
  missing: readonly MissingUse[],
): Refusal {
  return { outcome: 'refused', order, reason, message, missing: missing.slice(0, MOST_TOLD) };
}

async function askersOf(
  transaction: StorageTransaction,
  people: PeopleRights,
  requests: readonly PinRequest[],
): Promise<ReadonlyMap<string, Asker>> {
  const askers = new Map<string, Asker>();
  for (const person of new Set(requests.map(({ owner }) => owner))) {
    const known = person !== ANONYMOUS;
    askers.set(person, {
      person,
      admin: known && (await people.isAdmin(transaction, person)),
      groups: known ? await people.groupsOf(transaction, person) : [],
    });
  }
  return askers;
}

function missingThings(request: PinRequest, things: Things): MissingUse[] {
  // A prediction runs nothing of its problem, and clients of the originals name some that storage never had.
  const isNeeded = ({ as }: PinRequest['uses'][number]) => request.kind !== 'predict' || as !== 'problem';
  const needed = request.uses.filter(isNeeded);
  const missing = needed.flatMap((use) => (things.has(keyOf(use)) ? [] : lack(use, 'upload', '')));
  const model = request.kind === 'predict' ? request.uses.find(({ as }) => as === 'model') : undefined;
  const row = model === undefined ? undefined : things.get(keyOf(model));
  if (row === undefined) return missing;
  const algo = modelsAlgo(request, things);
  const there = algo !== undefined && things.has(keyOf(algo));
  return there
    ? missing
    : [...missing, ...lack(algo ?? row, algo === undefined ? 'algo' : 'upload', row.owner)];
}

/** The data of an order that is not in the public sample of its problem. */
function secretData({ uses }: PinRequest, things: Things): MissingUse[] {
  const named = uses.find(({ as }) => as === 'problem');
  const problem = named === undefined ? undefined : things.get(keyOf(named));
  return uses
    .filter(({ type }) => type === 'data')
    .filter((use) => {
      const row = things.get(keyOf(use));
      return row === undefined || problem === undefined || !isPublic(row, problem);
    })
    .flatMap((use) => lack(use, 'public', ''));
}

function secretMessage(secret: readonly MissingUse[]): string {
  const what = listed(secret, ({ uuid }) => `data ${uuid}`);
  return `This order runs on the public sample of its problem alone, and that does not hold ${what}: the owner of the problem names open data sets of their own as its sample.`;
}

function lack({ type, uuid }: Pick<ResourceRow, 'type' | 'uuid'>, need: string, owner: string): MissingUse[] {
  return [{ type, uuid, need, owner }];
}

function inputMessage({ owner }: PinRequest, missing: readonly MissingUse[]): string {
  const nameless = missing.find(({ need }) => need === 'algo');
  if (nameless !== undefined) return `Storage does not know which algo made model ${nameless.uuid}.`;
  const how = missing.every(({ type }) => type === 'model') ? 'Train it' : 'Upload it';
  const what = listed(missing, ({ type, uuid }) => `${type} ${uuid}`);
  return `There is no ${what} on storage, or ${owner} was not given it. ${how}, ask its owner for a grant, or correct the order.`;
}

function rightsMessage({ owner }: PinRequest, missing: readonly MissingUse[]): string {
  const what = listed(missing, ({ type, uuid, need, owner: whose }) => {
    const lacks = need === 'use' ? '' : ` ${LACKS[need] ?? `to ${need}`}`;
    return `${type} ${uuid} of ${whose === '' ? 'the admins' : whose}${lacks}`;
  });
  const hidden = missing.some(({ need, type }) => need === 'read' && !isAllowed(type, 'read', 'granted'));
  const remedy = hidden
    ? 'The bytes of data and predictions are read by their owner and admins alone: they can place the order'
    : 'Its owner can allow it';
  return `${owner} may not use ${what}. ${remedy}; or correct the order.`;
}

const LACKS: Readonly<Record<string, string>> = { predict: 'to predict from', read: 'as an input' };

const MOST_LISTED = 3;

function listed(missing: readonly MissingUse[], text: (one: MissingUse) => string): string {
  const rest = missing.length - MOST_LISTED;
  const first = missing.slice(0, MOST_LISTED).map(text).join(', ');
  return rest > 0 ? `${first} and ${rest} more` : first;
}
