import {
  GROUP_NAME,
  GROUP_NAME_RULE,
  issueMessage,
  type Learnuplet,
  MOST_GPUS,
  MOST_OWNER_CHARACTERS,
  MOST_PARAMETER_CHARACTERS,
  MOST_PRIORITY,
  type NamedTerms,
  NIL_UUID,
  type OrderSpec,
  orderNeeds,
  type Preduplet,
  WIRE_STATUSES,
} from '@morpheo/common';

import { isAllowed } from '../outbox/callback.ts';

/**
 * The originals' own rules of an order, in the order in which they check them and in their words; those of the keys
 * that the originals do not have come last. Source: wire format of the classic compute API, "Rule texts".
 */

/** The originals' text for the first rule that a training order breaks; undefined for a good one. */
export function brokenLearnRule(uplet: Learnuplet): string | undefined {
  for (const [field, value] of [
    ['id', uplet.uuid],
    ['problem', uplet.problem],
    ['workflow', uplet.workflow],
    ['algo', uplet.algo],
  ]) {
    if (value === NIL_UUID) return `${field} field is required`;
  }
  return (
    brokenListRule('train_data', uplet.train_data) ??
    brokenListRule('test_data', uplet.test_data) ??
    brokenStatusRule(uplet.status) ??
    brokenRankRule(uplet.rank) ??
    brokenParametersRule(uplet.parameters) ??
    brokenExtraRule(uplet)
  );
}

/** The originals' text for the first rule that a prediction order breaks; undefined for a good one. */
export function brokenPredictRule(uplet: Preduplet): string | undefined {
  if (uplet.uuid === NIL_UUID) return 'id field is unset';
  if (uplet.problem === NIL_UUID) return 'problem field is unset';
  if (uplet.workflow === NIL_UUID) return 'workflow field is unset';
  if (uplet.model === NIL_UUID) return 'model field is required';
  if (uplet.data === NIL_UUID) return 'Nil UUID in data field';
  return brokenStatusRule(uplet.status) ?? brokenExtraRule(uplet);
}

/** Ours: a job has nobody called but below what the operator allows. */
export function brokenCallbackRule(
  { kind, uplet }: OrderSpec,
  allowed: readonly string[],
): string | undefined {
  if (kind !== 'job' || uplet.callback === undefined || isAllowed(uplet.callback, allowed)) return undefined;
  return allowed.length === 0
    ? 'callback should be absent: the operator of this platform allows none (--callbacks)'
    : `callback should lie below one of ${allowed.join(', ')}, which the operator allows (--callbacks)`;
}

/** Ours: an order is read whole, also for a list or a message, so the data sets that it names have a bound. */
export function brokenDataRule({ kind, uplet }: OrderSpec, most: number): string | undefined {
  if (kind !== 'learn') return undefined;
  const named = uplet.train_data.length + uplet.test_data.length;
  if (named <= most) return undefined;
  return `train_data and test_data name ${named} data sets, and may name ${most} together. Make several orders of it, or have the operator raise --order-data`;
}

function brokenListRule(field: string, ids: readonly string[]): string | undefined {
  if (ids.length === 0) return `${field} field is empty or unset`;
  const nil = ids.indexOf(NIL_UUID);
  return nil === -1 ? undefined : `Nil UUID in ${field} field at pos ${nil}`;
}

function brokenStatusRule(status: string): string | undefined {
  if (WIRE_STATUSES.some((known) => known === status)) return undefined;
  const choices = WIRE_STATUSES.map((known) => `${known}:{}`).join(' ');
  // The missing parenthesis is the original's.
  return `status field ain't valid (provided: ${status}, possible choices: map[${choices}]`;
}

/** Not one of the originals', which run any rank: one below 0 has no rank before it, and would start from nothing. */
function brokenRankRule(rank: number): string | undefined {
  return rank >= 0 ? undefined : `rank field should be 0 or more (provided: ${rank})`;
}

function brokenParametersRule(parameters: string | undefined): string | undefined {
  if (parameters === undefined) return undefined;
  if (parameters.length > MOST_PARAMETER_CHARACTERS)
    return `parameters field should have ${MOST_PARAMETER_CHARACTERS} characters at the most (provided: ${parameters.length})`;
  try {
    JSON.parse(parameters);
    return undefined;
  } catch {
    return 'parameters field should be JSON, as a text';
  }
}

function brokenExtraRule(uplet: Learnuplet | Preduplet): string | undefined {
  const { gpus, needs, owner, priority, group } = uplet;
  return (
    brokenGpusRule(gpus) ??
    brokenNeedsRule(needs) ??
    brokenOwnerRule(owner) ??
    brokenPriorityRule(priority) ??
    brokenGroupRule(group)
  );
}

function brokenGpusRule(gpus: number | undefined): string | undefined {
  if (gpus === undefined || (gpus >= 0 && gpus <= MOST_GPUS)) return undefined;
  return `gpus field should be from 0 to ${MOST_GPUS} (provided: ${gpus})`;
}

function brokenNeedsRule(needs: NamedTerms | undefined): string | undefined {
  if (needs === undefined) return undefined;
  const [issue] = orderNeeds.safeParse(needs).error?.issues ?? [];
  if (issue === undefined) return undefined;
  return `${['needs', ...issue.path].join('.')}: ${issueMessage(issue)}`;
}

function brokenOwnerRule(owner: string | undefined): string | undefined {
  // No control characters: names stand in lists and logs.
  if (owner === undefined || (/^\P{Cc}+$/u.test(owner) && owner.length <= MOST_OWNER_CHARACTERS))
    return undefined;
  return `owner field should be a name of 1 to ${MOST_OWNER_CHARACTERS} characters`;
}

function brokenPriorityRule(priority: number | undefined): string | undefined {
  if (priority === undefined || Math.abs(priority) <= MOST_PRIORITY) return undefined;
  return `priority field should be from -${MOST_PRIORITY} to ${MOST_PRIORITY} (provided: ${priority})`;
}

function brokenGroupRule(group: string | undefined): string | undefined {
  if (group === undefined || GROUP_NAME.test(group)) return undefined;
  return `group field ${GROUP_NAME_RULE}`;
}
