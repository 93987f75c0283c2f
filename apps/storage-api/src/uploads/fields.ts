import {
  GoUuidError,
  MOST_PROBLEMS,
  NIL_UUID,
  PlatformError,
  PURPOSES,
  type Purpose,
  parseGoUuid,
  type ResourceType,
  sha256Hex,
  VISIBILITIES,
  type Visibility,
} from '@morpheo/common';
import type { StorageSettings } from '../config/settings.ts';
import type { NewResource } from '../metadata/resources.ts';
import { MOST_PROBLEMS_BYTES, MOST_TEXT_BYTES, type MultipartReader, type Part } from './multipart.ts';

/** What the parts before the blob said. */
export interface FormFields {
  readonly uuid?: string;
  readonly name?: string;
  readonly description?: string;
  /** As it was said; nobody compared it with the blob yet. */
  readonly size?: bigint;
  /** The SHA-256 that the sender promises, in lower-case hexadecimal. */
  readonly sha256?: string;
  /** Who may use it beside its owner. */
  readonly visibility?: Exclude<Visibility, 'legacy'>;
  /** data: for what it may be used. */
  readonly purpose?: Purpose;
  /** data: the ids of the problems that it tests. */
  readonly problems?: readonly string[];
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
  output: [],
};

const FORM_HINT = 'Make sure that each form field is sent before blob in the multipart/form';

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
    case 'visibility':
      return { visibility: oneOf(VISIBILITIES, part) };
    case 'purpose':
      return { purpose: oneOf(PURPOSES, part) };
    case 'problems':
      return { problems: parseProblems(textOf(part, 'Error reading problems: ', MOST_PROBLEMS_BYTES)) };
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

function parseUuid(text: string, what = 'UUID'): string {
  try {
    return parseGoUuid(text);
  } catch (cause) {
    if (!(cause instanceof GoUuidError)) throw cause;
    throw refuse(`Error parsing ${what} ${cause.message}`, cause);
  }
}

function oneOf<const T extends string>(values: readonly T[], part: TextPart): T {
  const text = textOf(part, `Error reading ${part.name}: `);
  const value = values.find((one) => one === text);
  if (value === undefined) throw refuse(`Error parsing ${part.name}: should be one of ${values.join(', ')}`);
  return value;
}

function parseProblems(text: string): string[] {
  const ids = text.split(',').map((id) => parseUuid(id.trim(), 'problems'));
  if (ids.length <= MOST_PROBLEMS) return [...new Set(ids)];
  throw refuse(`Error parsing problems: ${ids.length} are named, and at most ${MOST_PROBLEMS} are taken`);
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
 * where it brings a blob; what it says must not be empty. `hint` ends what is said of a false one. Throws
 * `invalid_upload` in the originals' words.
 */
export function checkForm(
  type: ResourceType,
  fields: FormFields,
  {
    change,
    blob,
    hint = FORM_HINT,
  }: { readonly change: boolean; readonly blob: boolean; readonly hint?: string },
): void {
  const rules = FIELDS[type];
  const stray = (['name', 'description'] as const).find(
    (field) => fields[field] !== undefined && !rules.includes(field),
  );
  if (stray !== undefined)
    throw invalidForm(`${stray} is not a valid field for ${nameInRefusal(type)}`, hint);
  if (fields.uuid === NIL_UUID) throw invalidForm("'UUID' unset", hint);
  for (const field of rules) {
    const missing = fields[field] === '' || (fields[field] === undefined && !change);
    if (missing) throw invalidForm(`'${field[0]?.toUpperCase()}${field.slice(1)}' unset`, hint);
  }
  checkPermissions(type, fields, change, hint);
  if (blob && (fields.size ?? 0n) === 0n) throw invalidForm("'Size' unset", hint);
}

/** The rules of what an upload says on who may use it. Throws `invalid_upload`. */
export function checkPermissions(
  type: ResourceType,
  { visibility, purpose, problems }: FormFields,
  change: boolean,
  hint = FORM_HINT,
): void {
  if (change && visibility !== undefined)
    throw invalidForm(`visibility is changed by PUT /v1/permissions/${type}/<uuid>`, hint);
  const ofData = purpose === undefined ? problems && 'problems' : 'purpose';
  if (type !== 'data' && ofData !== undefined)
    throw invalidForm(`${ofData} is not a valid field for ${nameInRefusal(type)}`, hint);
  if (purpose === 'test' && problems === undefined)
    throw invalidForm(
      "'Problems' unset: data of the purpose test has to name the problems that it tests",
      hint,
    );
  if (purpose !== 'test' && problems !== undefined)
    throw invalidForm('problems go with the purpose test alone', hint);
}

/** Who may use what is uploaded, and data for what: as its sender says, else as the operator has decided. */
export function permissionsOf(
  type: ResourceType,
  { visibility, purpose, problems }: FormFields,
  settings: StorageSettings,
): Pick<NewResource, 'visibility' | 'purpose' | 'problems'> {
  return {
    visibility: visibility ?? settings.defaultVisibility,
    ...(type === 'data' ? { purpose: purpose ?? settings.defaultPurpose, problems } : {}),
  };
}

/** The fields of an upload without a form, by their names. Throws as {@link readField} does. */
export function readFields(values: Readonly<Record<string, string | undefined>>): FormFields {
  let fields: FormFields = {};
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined)
      fields = { ...fields, ...readField({ kind: 'text', name, value, tooLong: false }) };
  }
  return fields;
}

/** How the originals name a type when they refuse a field of it: predictions go by the wrong name. */
function nameInRefusal(type: ResourceType): ResourceType {
  return type === 'prediction' ? 'problem' : type;
}

function invalidForm(reason: string, hint: string): PlatformError {
  return refuse(`Invalid form: ${reason}. ${hint}`);
}

function refuse(message: string, cause?: unknown): PlatformError {
  return new PlatformError('invalid_upload', message, { cause });
}
