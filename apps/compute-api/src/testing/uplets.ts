import { randomUUID } from 'node:crypto';
import { type Learnuplet, learnuplet, type Preduplet, preduplet } from '@morpheo/common';

/** A training order as an orchestrator would post it, with fresh ids. */
export function aLearnuplet(members: Partial<Learnuplet> = {}): Learnuplet {
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), algo: randomUUID() };
  const data = { train_data: [randomUUID()], test_data: [randomUUID()], model_end: randomUUID() };
  return learnuplet.parse({ ...ids, ...data, status: 'todo', rank: 0, ...members });
}

/** A prediction order as an orchestrator would post it, with fresh ids. */
export function aPreduplet(members: Partial<Preduplet> = {}): Preduplet {
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID() };
  return preduplet.parse({ ...ids, model: randomUUID(), data: randomUUID(), status: 'todo', ...members });
}
