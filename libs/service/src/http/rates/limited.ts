import { type Endpoint, isPlatformError, type Principal, type Role } from '@morpheo/common';
import type { Middleware } from 'koa';
import { type AccessRules, admit } from '../access/access.ts';
import type { Context, State } from '../answers/context.ts';
import { clientOf } from './client-address.ts';
import type { RateGuard } from './guard.ts';

/** The services of the platform, and who runs it: a renewal that has to wait would cost a worker its orders. */
export const TRUSTED: readonly Role[] = ['admin', 'orchestrator', 'compute', 'worker', 'attempt'];

/** What is asked for to see whether a process lives, and costs nothing. */
const UNCOUNTED = '/health';

/**
 * Lets a call to a route pass as `admit` does, and counts it: for its caller by name, for anybody else, and for who is
 * refused, by the address. Throws `rate_limited` too.
 */
export async function admitCounted(
  endpoint: Endpoint,
  ctx: Context,
  rules: AccessRules,
  guard: RateGuard,
): Promise<Principal | undefined> {
  const client = clientOf(ctx.req.socket.remoteAddress);
  const request = { method: ctx.method, headers: ctx.req.headers };
  let principal: Principal | undefined;
  try {
    principal = await admit(endpoint, request, rules, {
      from: guard.tellsAddressesApart ? client : undefined,
      guess: async () => await guard.guess(client),
    });
  } catch (error) {
    if (!isPlatformError(error, 'rate_limited')) await guard.ofAddress(client);
    throw error;
  }
  if (principal === undefined) await guard.ofAddress(client);
  else if (!principal.roles.some((role) => TRUSTED.includes(role))) await guard.ofCaller(principal.name);
  return principal;
}

/** Counts what is no route of the contract, by the address: pages that every service has, and paths that are none. */
export function countOthers(guard: RateGuard, isOther: (ctx: Context) => boolean): Middleware<State> {
  return async (ctx, next) => {
    if (ctx.path !== UNCOUNTED && isOther(ctx)) await guard.ofAddress(clientOf(ctx.req.socket.remoteAddress));
    return await next();
  };
}
