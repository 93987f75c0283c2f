import {
  GoUuidError,
  NIL_UUID,
  PlatformError,
  parseGoUuid,
  type ResourceType,
  sha256Hex,
} from '@morpheo/common';
import { MOST_TEXT_BYTES, type MultipartReader, type Part } from './multipart.ts';

/** What the parts before the blob said. */
export interface FormFields {
  readonly uuid?: string;
  readonly name?: string;
  readonly description?: string;
  /** As it was said; nobody compared it with the blob yet. */
  readonly size?: bigint;
  /** The SHA-256 that the sender promises, in lower-case hexadecimal. */
  readonly sha256?: string;
}

/** A form as far as it is read: the blob, if there is one, is still to come. */
export interface UploadForm {
  readonly fields: FormFields;
  readonly blob: AsyncIterable<Uint8Array> | null;
}

/** `size` is at most so many characters. */
const MOST_SIZE_CHARACTERS = 20;
const INT64 = { least: -(2n ** 63n), most: 2n ** 63n - 1n };

/**
 * Reads a form up to its blob. `refuseTaken` is asked as soon as the uuid is known and throws where it is taken, before
 * anything else of the form is looked at. Throws `invalid_upload` in the originals' words.
 */
export async function readUploadForm(
  reader: MultipartReader,
  refuseTaken: (uuid: string) => Promise<void>,
): Promise<UploadForm> {
  let fields: FormFields = {};
  for (;;) {
    const part = await reader.next();
    if (part === null) return { fields, blob: null };
    if (part.kind === 'blob') return { fields, blob: part.body };
    const field = readField(part);
    if (field.uuid !== undefined) await refuseTaken(field.uuid);
    fields = { ...fields, ...field };
  }
}

/** The text fields that a form of each type takes, and needs, beside its uuid and size. */
const FIELDS: Readonly<Record<ResourceType, readonly ('name' | 'description')[]>> = {
  problem: ['name', 'description'],
  algo: ['name'],
  model: [],
  data: [],
  prediction: [],
};

type TextPart = Extract<Part, { kind: 'text' }>;

/** Reads one field. Throws `invalid_upload`, in the originals' words, for one that is unknown or malformed. */
export function readField(part: TextPart): FormFields {
  switch (part.name) {
    case 'uuid':
      return { uuid: parseUuid(textOf(part, 'Error reading UUID ')) };
    case 'name':
      return { name: textOf(part, 'Error reading Name: ') };
    case 'description':
      return { description: textOf(part, 'Error reading description: ') };
    case 'size':
      return { size: parseSize(textOf(part, 'Error reading size field: ', MOST_SIZE_CHARACTERS)) };
    case 'sha256':
      return { sha256: parseSha256(textOf(part, 'Error reading sha256: ')) };
    default:
      throw refuse(`Unknown field "${part.name.slice(0, 100)}"`);
  }
}

function textOf({ name, value, tooLong }: TextPart, prefix: string, most = MOST_TEXT_BYTES): string {
  if (tooLong || value.length > most)
    throw refuse(`${prefix}Buffer overflow reading ${name} (max length is ${most} in base 10)`);
  if (value.includes('\0')) throw refuse(`${prefix}a NUL byte cannot be stored`);
  return value;
}

function parseUuid(text: string): string {
  try {
    return parseGoUuid(text);
  } catch (cause) {
    if (!(cause instanceof GoUuidError)) throw cause;
    throw refuse(`Error parsing UUID ${cause.message}`, cause);
  }
}

function parseSize(text: string): bigint {
  const failed = (reason: string) =>
    refuse(`Error parsing size field to integer: strconv.ParseInt: parsing "${text}": ${reason}`);
  if (!/^[+-]?\d+$/.test(text)) throw failed('invalid syntax');
  const size = BigInt(text.replace(/^\+/, ''));
  if (size < INT64.least || size > INT64.most) throw failed('value out of range');
  return size;
}

function parseSha256(text: string): string {
  const result = sha256Hex.safeParse(text);
  if (result.success) return result.data;
  throw refuse('Error parsing sha256: it should be a SHA-256 digest of 64 hexadecimal digits');
}

/**
 * Checks the fields of a complete form against what its type takes and needs. A change (PATCH) needs nothing but a size
 * where it brings a blob; what it says must not be empty. Throws `invalid_upload` in the originals' words.
 */
export function checkForm(
  type: ResourceType,
  fields: FormFields,
  { change, blob }: { readonly change: boolean; readonly blob: boolean },
): void {
  const rules = FIELDS[type];
  const stray = (['name', 'description'] as const).find(
    (field) => fields[field] !== undefined && !rules.includes(field),
  );
  if (stray !== undefined) throw invalidForm(`${stray} is not a valid field for ${nameInRefusal(type)}`);
  if (fields.uuid === NIL_UUID) throw invalidForm("'UUID' unset");
  for (const field of rules) {
    const missing = fields[field] === '' || (fields[field] === undefined && !change);
    if (missing) throw invalidForm(`'${field[0]?.toUpperCase()}${field.slice(1)}' unset`);
  }
  if (blob && (fields.size ?? 0n) === 0n) throw invalidForm("'Size' unset");
}

/** How the originals name a type when they refuse a field of it: predictions go by the wrong name. */
function nameInRefusal(type: ResourceType): ResourceType {
  return type === 'prediction' ? 'problem' : type;
}

function invalidForm(reason: string): PlatformError {
  return refuse(
    `Invalid form: ${reason}. Make sure that each form field is sent before blob in the multipart/form`,
  );
}

function refuse(message: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_upload', message, { cause });
}
