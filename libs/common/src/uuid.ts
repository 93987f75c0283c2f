import { z } from 'zod';

/** The UUID of 128 zero bits: what the originals write where no UUID is known. */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

const CANONICAL = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A UUID as ours: canonical text (RFC 9562 §4), accepted in any case, handed on in lower case. Not nil. */
export const uuid = z
  .string()
  .regex(CANONICAL, 'should be a UUID such as 6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11')
  .refine((text) => text !== NIL_UUID, 'should not be the nil UUID')
  .toLowerCase();

/** True for a canonical UUID in any case, the nil UUID included. */
export function isUuid(text: string): boolean {
  return CANONICAL.test(text);
}
