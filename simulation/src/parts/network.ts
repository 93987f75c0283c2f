import { PlatformError } from '@morpheo/common';
import type { Faults } from '../faults/faults.ts';
import type { Machine } from './machine.ts';
import { sleep } from './virtual-time.ts';

/** A service that calls can be sent to; which process answers is decided at each call. */
export interface Destination<A extends object> {
  readonly name: string;
  /** Who answers now; undefined where nobody does. */
  readonly find: () => { readonly api: A; readonly machine: Machine } | undefined;
}

/** What a call may be given; the signal ends the wait, not what the other side does. */
interface Call {
  readonly signal?: AbortSignal | undefined;
}

/** How a call went, for whoever counts. */
export type OnAnswer = (call: string, error: unknown) => void;

/**
 * The API of a service as a process sees it over a network that loses requests and answers, delays both, and may be
 * cut: what is asked may have happened although nobody says so, and may happen long after the caller has given up.
 */
export function overNetwork<A extends object>(
  from: Machine,
  to: Destination<A>,
  faults: Faults,
  onAnswer?: OnAnswer,
): A {
  const call = async (name: string, input: unknown, options?: Call): Promise<unknown> => {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    aborted.catch(() => undefined);
    const signal = options?.signal;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    return await Promise.race([travel(from, to, name, input, faults, onAnswer), aborted]);
  };
  // Every method of the contract is a call; the receiver's types are those of the service itself.
  return new Proxy({} as A, {
    get: (_, name) => async (input: unknown, options?: Call) => await call(String(name), input, options),
  });
}

async function travel<A extends object>(
  from: Machine,
  to: Destination<A>,
  name: string,
  input: unknown,
  faults: Faults,
  onAnswer: OnAnswer | undefined,
): Promise<unknown> {
  await from.pass();
  if (faults.repeats()) void comeAgain(to, name, input, onAnswer);
  if (faults.isCut(from.name) || faults.isCut(to.name) || faults.lose('request', to.name))
    return await unheard(to, faults);
  await sleep(faults.latency());
  const outcome = await arrive(to, name, input, onAnswer);
  if (outcome === undefined) return await unheard(to, faults);
  if (faults.isCut(from.name) || faults.lose('answer', to.name)) return await unheard(to, faults);
  await sleep(faults.latency());
  await from.pass();
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** What the service answers; undefined where its process died over it. */
async function arrive<A extends object>(
  to: Destination<A>,
  name: string,
  input: unknown,
  onAnswer: OnAnswer | undefined,
): Promise<Outcome | undefined> {
  const target = to.find();
  if (target === undefined) return { error: away(to) };
  const method: unknown = Reflect.get(target.api, name);
  if (typeof method !== 'function') throw new TypeError(`${to.name} has no ${name}.`);
  try {
    await Promise.race([target.machine.pass(), target.machine.gone]);
    // The caller's signal stays behind: a service does not learn at once that its caller has gone.
    const value: unknown = await Promise.race([method.call(target.api, input, {}), target.machine.gone]);
    onAnswer?.(name, undefined);
    return { value };
  } catch (error) {
    if (!target.machine.isUp) return undefined;
    onAnswer?.(name, error);
    return { error };
  }
}

/** The same call once more, up to two minutes later, whether the caller still lives or not. */
async function comeAgain<A extends object>(
  to: Destination<A>,
  name: string,
  input: unknown,
  onAnswer: OnAnswer | undefined,
): Promise<void> {
  // A worker that registers means to take over; a proxy does not repeat that.
  if (name === 'registerWorker') return;
  await sleep(Math.random() * 120_000);
  await arrive(to, name, input, onAnswer);
}

/** Nothing comes back: the connection breaks, or nobody says anything until the caller gives up. */
async function unheard(to: { readonly name: string }, faults: Faults): Promise<never> {
  if (faults.hangs()) return await new Promise<never>(() => undefined);
  await sleep(faults.latency());
  throw away(to);
}

function away({ name }: { readonly name: string }): PlatformError {
  return new PlatformError('unavailable', `${name} does not answer.`);
}
