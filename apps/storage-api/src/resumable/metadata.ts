import { randomUUID } from 'node:crypto';
import { PlatformError, RESOURCE_TYPES, type ResourceType } from '@morpheo/common';
import { parseResourceId } from '../http/resource-id.ts';
import { checkForm, type FormFields, readField } from '../uploads/fields.ts';

/** What a resumable upload will be. */
export interface Described {
  readonly type: ResourceType;
  readonly uuid: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  /** model: the algo that made it. */
  readonly algo?: string | undefined;
  /** The SHA-256 that all bytes have to have, in lower-case hexadecimal. */
  readonly digest?: string | undefined;
  /** All that was said of it. */
  readonly fields: FormFields;
}

const OF_THE_FORM = new Set([
  ...['uuid', 'name', 'description', 'sha256'],
  ...['visibility', 'purpose', 'problems'],
]);
const HINT = 'Upload-Metadata says what the upload will be: correct it';
/** A key, and a value in Base64 or none (tus 1.0, "Upload-Metadata"). */
const PAIR = /^ *(?<key>[!-+\--~]+)(?: (?<value>(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?))? *$/;

/**
 * Reads `Upload-Metadata`, by the rules of the upload form; keys that a form does not know are passed over. Throws
 * `invalid_upload` in the words of the form, and `invalid_request` for an id that is none.
 */
export function readMetadata(header: string): Described {
  const pairs = readPairs(header);
  const type = typeOf(pairs.get('type'));
  let fields: FormFields = {};
  for (const [name, value] of pairs) {
    // Clients of the protocol tell of a file what they like, such as its name there: that is kept, and means nothing here.
    if (!OF_THE_FORM.has(name)) continue;
    fields = { ...fields, ...readField({ kind: 'text', name, value, tooLong: false }) };
  }
  checkForm(type, fields, { change: false, blob: false, hint: HINT });
  const { uuid = randomUUID(), name, description, sha256: digest } = fields;
  const algo = type === 'model' ? parseResourceId(pairs.get('algo') ?? '', 'algo UUID') : undefined;
  return { type, uuid, name, description, algo, digest, fields };
}

function readPairs(header: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const pair of header.split(',')) {
    const { key = '', value = '' } = PAIR.exec(pair)?.groups ?? {};
    if (key === '' || pairs.has(key)) {
      throw refusal(
        'Upload-Metadata should be pairs of a key and a value in Base64, by comma, each key once',
      );
    }
    pairs.set(key, Buffer.from(value, 'base64').toString('utf8'));
  }
  return pairs;
}

/** What may be uploaded: outputs are made by orders alone. */
const UPLOADED = RESOURCE_TYPES.filter((type) => type !== 'output');

function typeOf(text: string | undefined): ResourceType {
  const type = UPLOADED.find((one) => one === text);
  if (type !== undefined) return type;
  throw refusal(`Upload-Metadata has to name the type: one of ${UPLOADED.join(', ')}`);
}

function refusal(message: string): PlatformError {
  return new PlatformError('invalid_upload', message);
}
