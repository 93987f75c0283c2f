import { ANONYMOUS, type Relation } from '@morpheo/common';
import type { ResourceRow } from '../metadata/schema.ts';

/** Somebody who asks: who calls, or whose order it is. */
export interface Asker {
  /** By name. */
  readonly person: string;
  readonly admin: boolean;
  /** The names of the groups that the person is in. */
  readonly groups: readonly string[];
}

/** What the operator decides about permissions. */
export interface PermissionRules {
  /** What is from before there were owners is open to everybody who is known, or to its owner and admins alone. */
  readonly legacy: 'open' | 'closed';
  /** What orders that came without credentials may use: nothing, what is open, or all. */
  readonly anonymousGrants: 'none' | 'open' | 'all';
}

/** To whom something may be granted so that this person has it: nobody, where nobody knows who asks. */
export function granteesOf({ person, groups }: Pick<Asker, 'person' | 'groups'>): string[] {
  return isKnown(person) ? [`person:${person}`, ...groups.map((group) => `group:${group}`)] : [''];
}

/** What a person is to a resource, where it is known whether it is granted. Nobody known owns nothing. */
export function relationTo(
  { owner, visibility }: Pick<ResourceRow, 'owner' | 'visibility'>,
  granted: boolean,
  { person, admin }: Pick<Asker, 'person' | 'admin'>,
  { legacy }: Pick<PermissionRules, 'legacy'>,
): Relation {
  if (admin) return 'admin';
  if (isKnown(person) && owner === person) return 'owner';
  if (isKnown(person) && granted) return 'granted';
  return visibility === 'open' || (visibility === 'legacy' && legacy === 'open') ? 'open' : 'none';
}

/** Whether this is the name of somebody: not that of those who came without credentials. */
export function isKnown(person: string): boolean {
  return person !== '' && person !== ANONYMOUS;
}
