import * as z from 'zod';

/** What a caller may be called: 1 to 100 characters without dot, colon, white space and control characters. */
export const CALLER_NAME = /^[^.:\s\p{Cc}]{1,100}$/u;

/** Who has no name of its own: see `ANONYMOUS`, and who calls where nobody is asked for credentials. */
const RESERVED: readonly string[] = ['anonymous', 'anybody'];

/**
 * The name of a person or a group: that of a caller which can stand in a path, written in one way alone (NFC), and no
 * word that stands for everybody.
 */
export const personName = z
  .string()
  .regex(
    // No classes of Unicode: the pattern stands in the OpenAPI document, and few of its readers know them.
    /^[^.:\s/\\#?%]{1,100}$/,
    'should be 1 to 100 characters without dot, colon, space, slash, backslash, #, ? and %',
  )
  .refine((name) => CALLER_NAME.test(name), 'should have no control characters')
  .refine((name) => name === name.normalize('NFC'), 'should be in the normal form NFC of Unicode')
  .refine((name) => !RESERVED.includes(name), 'stands for everybody');
