import type { PinAnswer, PinRequest, Principal, Ticket } from '@morpheo/common';
import type { ExecutionContext } from 'ava';
import type { TestStorage } from './open-storage.ts';
import { bodyOf, id } from './requests.ts';

/** The ids of what the orders of these tests name. */
export const NAMED = { problem: id(1), algo: id(2), train: id(3), test: id(4), model: id(5) } as const;

/** Who owns what these orders name, and places them. */
export const ANN = { principal: { name: 'ann', roles: ['uploader'] } } as const;

/** Uploads all of {@link NAMED} but the model; the bytes of each are its name. */
export async function uploadNamed({ api }: TestStorage): Promise<void> {
  for (const [name, type] of [
    ['problem', 'problem'],
    ['algo', 'algo'],
    ['train', 'data'],
    ['test', 'data'],
  ] as const)
    await api.upload({ params: { type }, query: { uuid: NAMED[name] }, body: bodyOf(name) }, ANN);
}

/** A training order that names all of {@link NAMED} but the model, which it makes; number 1 is the first. */
export function learnRequest(number: number, extra: Partial<PinRequest> = {}): PinRequest {
  return {
    order: id(1000 + number),
    round: 1,
    owner: 'ann',
    kind: 'learn',
    uses: [
      { type: 'problem', uuid: NAMED.problem, as: 'problem' },
      { type: 'algo', uuid: NAMED.algo, as: 'algo' },
      { type: 'data', uuid: NAMED.train, as: 'train' },
      { type: 'data', uuid: NAMED.test, as: 'test' },
    ],
    produces: { type: 'model', uuid: id(2000 + number) },
    ...extra,
  };
}

/** A prediction order that names the model and the training data of {@link NAMED}. */
export function predictRequest(number: number, extra: Partial<PinRequest> = {}): PinRequest {
  return learnRequest(number, {
    kind: 'predict',
    uses: [
      { type: 'problem', uuid: NAMED.problem, as: 'problem' },
      { type: 'model', uuid: NAMED.model, as: 'model' },
      { type: 'data', uuid: NAMED.train, as: 'predict' },
    ],
    produces: { type: 'prediction', uuid: id(2000 + number) },
    ...extra,
  });
}

/** The answer that says that an order is pinned. */
export type PinnedAnswer = Extract<PinAnswer, { outcome: 'pinned' }>;

/** Pins one order and hands on the answer. */
export async function pin({ api }: TestStorage, request: PinRequest): Promise<PinAnswer> {
  const { pins } = await api.pinOrders({ body: { orders: [request] } });
  const [answer] = pins;
  if (answer === undefined || pins.length !== 1) throw new Error('One answer was expected');
  return answer;
}

/** Pins one order, which must go well. */
export async function pinned(
  t: ExecutionContext,
  storage: TestStorage,
  request: PinRequest,
): Promise<PinnedAnswer> {
  const answer = await pin(storage, request);
  if (answer.outcome === 'pinned') return answer;
  t.fail(`It should be pinned: ${JSON.stringify(answer)}`);
  throw new Error('It was not pinned');
}

/** A caller with the ticket of an attempt of a pinned order. */
export function attemptOf(
  { order, pin: digest, produces }: PinnedAnswer,
  attempt = 1,
  extra: Partial<Ticket> = {},
): { readonly principal: Principal } {
  const ticket = { order, attempt, pin: digest, produces, ...extra };
  return { principal: { name: `attempt ${attempt}`, roles: ['attempt'], ticket } };
}
