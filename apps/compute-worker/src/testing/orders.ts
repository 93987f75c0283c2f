import { randomUUID } from 'node:crypto';
import { type Learnuplet, learnuplet, type OrderSpec, type Preduplet, preduplet } from '@morpheo/common';

/** A training order; absent members have the originals' zero values. */
export function learnOrder(members: Partial<Learnuplet>): Extract<OrderSpec, { kind: 'learn' }> {
  return {
    kind: 'learn',
    uplet: learnuplet.parse({ uuid: randomUUID(), model_end: randomUUID(), ...members }),
  };
}

/** A prediction order; absent members have the originals' zero values. */
export function predictOrder(members: Partial<Preduplet>): OrderSpec {
  const ids = { uuid: randomUUID(), prediction_storage_uuid: randomUUID() };
  return { kind: 'predict', uplet: preduplet.parse({ ...ids, ...members }) };
}
