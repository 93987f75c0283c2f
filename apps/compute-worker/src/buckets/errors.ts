import { isPlatformError, OrderFailure, PlatformError, type Step } from '@morpheo/common';
import type { OpenPlace } from './connections.ts';

/**
 * Does work at a place. What the keys may not do there fails the order, for its owner chose the place; all else that is
 * wrong with the bucket is the platform's failure, and tried again.
 */
export async function atPlace<T>(place: OpenPlace, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isPlatformError(error, 'forbidden')) {
      const message = `The keys of the bucket connection ${place.connection} do not allow this at ${place.name()}.`;
      throw new OrderFailure('bucket_refused', { message }, error);
    }
    if (isPlatformError(error, 'disk_full')) {
      const message = `The bucket of the connection ${place.connection} has no room.`;
      throw new PlatformError('unavailable', message, { cause: error });
    }
    throw error;
  }
}

/** Does work of a step: a failure of the order in it is told as that step's. */
export async function ofStep<T>(step: Step, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OrderFailure)) throw error;
    throw new OrderFailure(error.end, { ...error.failure, step }, error.cause);
  }
}
