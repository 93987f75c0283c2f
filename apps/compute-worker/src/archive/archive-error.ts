/**
 * An archive is not what it should be: the doing of whoever made it. The message is a sentence for them; `entry` is
 * the name of the entry at fault as the archive has it, where it is one entry's fault.
 */
export class ArchiveError extends Error {
  override name = 'ArchiveError';
  readonly entry: string | undefined;

  constructor(message: string, entry?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.entry = entry;
  }
}
