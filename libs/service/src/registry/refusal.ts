import { type End, type ErrorCode, PlatformError } from '@morpheo/common';

/** For which of all ends the image itself, or its registry's word, is the reason. */
const CODES = {
  registry_not_allowed: 'forbidden',
  image_not_permitted: 'forbidden',
  image_missing: 'not_found',
  image_invalid: 'invalid_request',
  image_of_other_architecture: 'invalid_request',
  image_too_large: 'too_large',
} as const satisfies Partial<Record<End, ErrorCode>>;

/** An image that cannot be had, whoever asks again: `end` is what that is to an order that names it. */
export class ImageRefusal extends PlatformError {
  readonly end: keyof typeof CODES;

  constructor(end: keyof typeof CODES, message: string, cause?: unknown) {
    super(CODES[end], message, { cause });
    this.end = end;
  }
}
