import { ANONYMOUS, type Call, PlatformError } from '@morpheo/common';

/** The owner as it is kept: empty for orders that came without credentials. */
export function keptOwner(name: string): string {
  return name === ANONYMOUS ? '' : name;
}

/** The owner as people see it. */
export function shownOwner(owner: string): string {
  return owner === '' ? ANONYMOUS : owner;
}

/**
 * On whose share an order is run, as it is kept: who calls, unless the order names another. Throws `forbidden` where a
 * caller names another that is neither orchestrator nor admin.
 */
export function ownerOf(named: string | undefined, principal: Call['principal']): string {
  const caller = keptOwner(principal?.name ?? ANONYMOUS);
  if (named === undefined || keptOwner(named) === caller) return caller;
  if (principal?.roles.some((role) => role === 'orchestrator' || role === 'admin')) return keptOwner(named);
  throw new PlatformError(
    'forbidden',
    `${shownOwner(caller)} may not order for ${named}: it takes the role orchestrator or admin. Leave out the owner.`,
  );
}
