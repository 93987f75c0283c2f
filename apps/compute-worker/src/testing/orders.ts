import { randomUUID } from 'node:crypto';
import {
  type Job,
  job,
  type Learnuplet,
  learnuplet,
  type OrderSpec,
  type Preduplet,
  preduplet,
} from '@morpheo/common';

/** A training order; absent members have the originals' zero values. */
export function learnOrder(members: Partial<Learnuplet>): Extract<OrderSpec, { kind: 'learn' }> {
  return {
    kind: 'learn',
    uplet: learnuplet.parse({ uuid: randomUUID(), model_end: randomUUID(), ...members }),
  };
}

/** A job, whose image stands in the order or is an algorithm on storage. */
export function jobOrder(members: Partial<Job>): Extract<OrderSpec, { kind: 'job' }> {
  return { kind: 'job', uplet: job.parse({ uuid: randomUUID(), output: randomUUID(), ...members }) };
}

/** A prediction order; absent members have the originals' zero values. */
export function predictOrder(members: Partial<Preduplet>): OrderSpec {
  const ids = { uuid: randomUUID(), prediction_storage_uuid: randomUUID() };
  return { kind: 'predict', uplet: preduplet.parse({ ...ids, ...members }) };
}
