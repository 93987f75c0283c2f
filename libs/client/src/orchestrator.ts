import { isPlatformError } from '@morpheo/common';

/**
 * True for the orchestrator's refusal of a callback that it has heard already: whoever retries a callback treats it
 * as success. Source: wire format of the orchestrator, callbacks ("no update of …", "Might be already pending").
 */
export function isAlreadyApplied(error: unknown): boolean {
  return (
    isPlatformError(error) &&
    error.status === 400 &&
    /no update of|Might be already pending/.test(error.message)
  );
}
