import type { Log } from '@morpheo/service/log';
import type { Runners } from '../../runners/index.ts';
import { type CallPlanParts, CallPlans } from './call-plans.ts';
import type { CallsOptions } from './calls.ts';
import { runCall } from './run-call.ts';

/** What answers the calls of a worker: its warm runners, which get their inputs through these parts. */
export function createCalls(
  parts: CallPlanParts,
  runners: Runners,
  log: Log,
): Pick<CallsOptions, 'run' | 'runners' | 'planKeys'> {
  const plans = new CallPlans(parts);
  return {
    runners,
    run: async (given, over) => await runCall(given, { runners, plans, log }, over),
    planKeys: () => plans.keys(),
  };
}
