import type { Endpoint, Principal } from '@morpheo/common';
import type { ParameterizedContext } from 'koa';
import { type Answer, send } from './send.ts';

/** What is known of a request while it is answered. */
export interface State {
  requestId: string;
  /** The key of the route in its contract. */
  route?: string;
  endpoint?: Endpoint;
  principal?: Principal | undefined;
}

/** A request and its answer. */
export type Context = ParameterizedContext<State>;

/** Sends an answer that is whole in memory; see {@link send}. */
export function answer(ctx: Context, what: Answer): Promise<void> {
  ctx.respond = false;
  return send(ctx.req, ctx.res, what);
}
