import { ERRORS, isPlatformError, PlatformError, type ResourceType } from '@morpheo/common';

/** An error whose words are final: nothing is put before them. */
class FinalError extends PlatformError {
  override name = 'FinalError';
}

/**
 * Runs a part of an upload and puts the originals' prefix, such as `[Error uploading data]`, before what it throws.
 * What is no {@link PlatformError} is the store's fault, and becomes `internal` in their words; its cause is kept.
 */
export async function explained<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FinalError) throw error;
    if (error instanceof PlatformError) throw withPrefix(prefix, error);
    const message = `${prefix} Error writing blob content to storage: the disk failed; the log of the service says how`;
    throw new PlatformError('internal', message, { cause: error });
  }
}

/**
 * Runs the transaction that ends an upload. Where it fails by the database's fault, and not by a rule, the error says
 * so in the originals' words.
 */
export async function recorded<T>(type: ResourceType, uuid: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isPlatformError(error) && ERRORS[error.code].status < 500) throw error;
    const code = isPlatformError(error) ? error.code : 'internal';
    const reason = isPlatformError(error) ? error.message : 'the log of the service says how it failed';
    throw new FinalError(code, `Error inserting ${type} ${uuid} in database: ${reason}`, { cause: error });
  }
}

/** The same error, with words before its own. */
export function withPrefix(prefix: string, error: PlatformError): PlatformError {
  return new PlatformError(error.code, `${prefix} ${error.message}`, {
    cause: error.cause,
    details: error.details,
  });
}
