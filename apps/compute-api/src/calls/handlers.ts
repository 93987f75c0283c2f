import { type Api, type ComputeContract, PlatformError } from '@morpheo/common';

type Handlers = Pick<
  Api<ComputeContract>,
  'postCall' | 'listRunners' | 'retryRunner' | 'exchangeCalls' | 'relayCalls'
>;

/** The handlers of calls in warm runners. */
export function callHandlers(): Handlers {
  const none = async (): Promise<never> => {
    throw new PlatformError('unavailable', 'This compute-api takes no calls: place an order.');
  };
  return {
    postCall: none,
    listRunners: async () => ({ items: [] }),
    retryRunner: none,
    exchangeCalls: none,
    relayCalls: none,
  };
}
