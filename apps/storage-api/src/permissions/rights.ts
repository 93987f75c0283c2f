import { ANONYMOUS, isAllowed, type ResourceType, servesPurpose, type UsedAs } from '@morpheo/common';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import { type GranteesByKey, granteesOfAll, idsInTurn, keyOf, typesOf } from './grants.ts';
import { type Asker, granteesOf, type PermissionRules, relationTo } from './relations.ts';

/** A resource that an order names, and as what. */
export interface Use {
  readonly type: ResourceType;
  readonly uuid: string;
  readonly as: UsedAs;
}

/** A right that an order lacks. */
export interface MissingRight {
  readonly type: ResourceType;
  readonly uuid: string;
  /**
   * `use`: the right to name it in an order; `read`: the right to read its bytes, which an input takes; else the purpose
   * that the data set does not have.
   */
  readonly need: 'use' | 'read' | 'train' | 'test' | 'predict';
  /** Who can give it, by name; empty: an admin. */
  readonly owner: string;
}

/**
 * Whether an order may name what it names: each resource is its owner's, granted to the owner (data also to the order's
 * problem), or open; each data set has the purpose for which it is used, which holds for everybody; and the order's
 * owner may read the bytes of each input. What is not there is passed over. Of one resource the lack of `use` is told before that of a purpose.
 */
export async function rightsOf(
  tx: StorageTransaction,
  { rules, outputsOpen, ...asker }: Asker & Pick<RightsQuestion, 'rules' | 'outputsOpen'>,
  uses: readonly Use[],
): Promise<{ readonly missing: readonly MissingRight[] }> {
  const things = await rowsOf(tx, uses);
  const grantees = await granteesOfAll(tx, uses);
  return { missing: missingRights({ things, grantees, rules, asker, outputsOpen }, uses) };
}

/** What {@link missingRights} decides from. */
export interface RightsQuestion {
  /** What is named, by {@link keyOf}; what is not there is absent. */
  readonly things: ReadonlyMap<string, ResourceRow>;
  readonly grantees: GranteesByKey;
  readonly rules: PermissionRules;
  readonly asker: Asker;
  /** True where nothing that orders show is hidden from anybody. */
  readonly outputsOpen: boolean;
}

/** As {@link rightsOf}, of rows that the caller has. */
export function missingRights(
  { things, grantees, rules, asker, outputsOpen }: RightsQuestion,
  uses: readonly Use[],
): MissingRight[] {
  // What was granted to a problem that is gone is granted to nobody.
  const problem = uses.find((use) => use.as === 'problem' && things.has(keyOf(use)))?.uuid;
  return uses.flatMap((use): MissingRight[] => {
    const row = things.get(keyOf(use));
    if (row === undefined) return [];
    const lack = (need: MissingRight['need']) => [{ type: use.type, uuid: use.uuid, need, owner: row.owner }];
    const need = use.as === 'input' ? 'read' : 'use';
    if (!mayUse(row, need, { asker, rules, grantees, problem, outputsOpen })) return lack(need);
    if (use.as !== 'train' && use.as !== 'test' && use.as !== 'predict') return [];
    return servesPurpose({ purpose: row.purpose, problems: problemsOf(row) }, use.as, problem)
      ? []
      : lack(use.as);
  });
}

interface Circumstances extends Omit<RightsQuestion, 'things'> {
  /** Under which problem the order runs. */
  readonly problem: string | undefined;
}

function mayUse(
  row: ResourceRow,
  need: 'use' | 'read',
  { asker, rules, grantees, problem, outputsOpen }: Circumstances,
): boolean {
  const own = grantees.get(keyOf(row)) ?? new Set();
  // In orders of that problem, and under no other that the person may use.
  const ofProblem = row.type === 'data' && problem !== undefined && own.has(`problem:${problem}`);
  const granted = ofProblem || granteesOf(asker).some((one) => own.has(one));
  if (asker.person === ANONYMOUS && !asker.admin) {
    if (rules.anonymousGrants === 'none') return false;
    // What a job of nobody known makes of its inputs is open to everybody.
    if (rules.anonymousGrants === 'all' && (need === 'use' || outputsOpen))
      return isAllowed(row.type, need, 'admin');
  }
  return isAllowed(row.type, need, relationTo(row, granted, asker, rules));
}

async function rowsOf(tx: StorageTransaction, uses: readonly Use[]): Promise<Map<string, ResourceRow>> {
  const found = new Map<string, ResourceRow>();
  for (const ids of idsInTurn(uses)) {
    const ofThese = tx.selectFrom('resources').selectAll().where('type', 'in', typesOf(uses));
    for (const row of await ofThese.where('uuid', 'in', ids).execute()) found.set(keyOf(row), row);
  }
  return found;
}

/** The ids of the problems that a data set tests. */
export function problemsOf({ problems }: Pick<ResourceRow, 'problems'>): string[] {
  return problems === '' ? [] : problems.split(',');
}
