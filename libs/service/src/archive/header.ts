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

/** True where there is nothing but zeros. */
export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Of a header, and of what the bytes of an entry are filled up to. */
export const BLOCK = 512;

/** A header block as it stands in the archive, before what extended headers say. */
export interface Header {
  readonly name: string;
  /** A character: `0` is a file. */
  readonly flag: string;
  /** In bytes. */
  readonly size: number;
  readonly mode: number;
  /** What a link leads to. */
  readonly link: string;
}

/**
 * Reads a header of the forms that are known to the byte: POSIX (`ustar`), GNU, and the one before both (v7). Throws
 * {@link ArchiveError} for anything else. Source: POSIX.1-2017 `pax`, "ustar Interchange Format"; GNU tar, "Basic Tar
 * Format". Bytes that are not UTF-8 become U+FFFD.
 */
export function readHeader(block: Buffer): Header {
  const shortName = text(block, 0, 100);
  if (!hasItsSum(block))
    throw new ArchiveError('A header of the archive is broken: it is not a tar archive, or a damaged one.');
  const magic = block.toString('latin1', 257, 263);
  // Between the two stand the numbers of a device, which GNU tar writes in this form too.
  const isV7 = isZero(block.subarray(257, 329)) && isZero(block.subarray(345));
  if (magic !== 'ustar\0' && magic !== 'ustar ' && !isV7) {
    throw new ArchiveError('A header is of a form of tar that is not known.', shortName);
  }
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : '';
  const name = prefix === '' ? shortName : `${prefix}/${shortName}`;
  const flag = block.toString('latin1', 156, 157);
  return {
    name,
    flag: flag === '\0' ? '0' : flag,
    size: numberIn(block, 124, 12, name),
    mode: numberIn(block, 100, 8, name),
    link: text(block, 157, 100),
  };
}

function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
}

/** Octal digits between blanks; or, from 0x80 on, a binary number, as GNU tar writes what is too large for digits. */
function numberIn(block: Buffer, start: number, length: number, name: string): number {
  const field = block.subarray(start, start + length);
  if (field[0] === 0x80) {
    const number = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (Number.isSafeInteger(number)) return number;
  } else {
    const digits = field.toString('latin1').replace(/\0.*$/s, '').trim();
    if (/^[0-7]*$/.test(digits)) return Number.parseInt(digits || '0', 8);
  }
  throw new ArchiveError('A number in a header is none.', name);
}

/** The sum of all bytes, its own field read as blanks; some old programs took bytes for signed. */
function hasItsSum(block: Buffer): boolean {
  const told = Number.parseInt(block.toString('latin1', 148, 156).replace(/\0.*$/s, '').trim(), 8);
  let [unsigned, signed] = [0, 0];
  for (let at = 0; at < BLOCK; at += 1) {
    const counted = at >= 148 && at < 156 ? 0x20 : block.readUInt8(at);
    unsigned += counted;
    signed += counted > 127 ? counted - 256 : counted;
  }
  return told === unsigned || told === signed;
}
