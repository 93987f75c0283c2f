import { PlatformError } from '@morpheo/common';

/** What calls get after the database was disposed; `name` as messages name it. */
export function closedError(name: string): PlatformError {
  return new PlatformError('unavailable', `${name} is closed: this service is stopping.`);
}
