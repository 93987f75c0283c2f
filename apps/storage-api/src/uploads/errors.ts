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
    throw explanation(prefix, error);
  }
}

/** As {@link explained}, for the first dialect: it told its errors under another name, `string`. */
export async function explainedAtFirst<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message, cause, details } = explanation(prefix, error);
    throw new FinalError(code, message, { cause, details: { ...details, string: message } });
  }
}

function explanation(prefix: string, error: unknown): PlatformError {
  if (error instanceof FinalError) return error;
  if (error instanceof PlatformError) {
    const { code, message, cause, details } = error;
    return new FinalError(code, `${prefix} ${message}`, { cause, details });
  }
  const message = `${prefix} Error writing blob content to storage: the disk failed; the log of the service says how`;
  return new FinalError('internal', message, { cause: error });
}

/**
 * Runs the transaction that ends an upload. Where it fails by the database's fault, and not by a rule, the error says
 * so in the originals' words.
 */
export async function recorded<T>(type: ResourceType, uuid: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isPlatformError(error, 'quota_exceeded')) throw error;
    if (isPlatformError(error) && ERRORS[error.code].status < 500) throw error;
    const code = isPlatformError(error) ? error.code : 'internal';
    const reason = isPlatformError(error) ? error.message : 'the log of the service says how it failed';
    throw new FinalError(code, `Error inserting ${type} ${uuid} in database: ${reason}`, { cause: error });
  }
}
