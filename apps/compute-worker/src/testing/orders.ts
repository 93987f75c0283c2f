import { randomUUID } from 'node:crypto';
import { type Learnuplet, learnuplet, type OrderSpec, type Preduplet, preduplet } from '@morpheo/common';

/** A training order; absent members have the originals' zero values. */
export function learnOrder(members: Partial<Learnuplet>): OrderSpec {
  return {
    kind: 'learn',
    uplet: learnuplet.parse({ uuid: randomUUID(), model_end: randomUUID(), ...members }),
  };
}

/** A prediction order; absent members have the originals' zero values. */
export function predictOrder(members: Partial<Preduplet>): OrderSpec {
  return { kind: 'predict', uplet: preduplet.parse({ uuid: randomUUID(), ...members }) };
}
