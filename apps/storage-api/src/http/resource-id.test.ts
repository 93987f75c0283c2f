import { isPlatformError } from '@morpheo/common';
import test from 'ava';
import { parseResourceId } from './resource-id.ts';

const ID = '7d4a1c7e-2b1f-4c3d-8e9f-0a1b2c3d4e5f';

test('an id is read as the originals read it', (t) => {
  for (const text of [ID, ID.toUpperCase(), `{${ID}}`, `urn:uuid:${ID}`]) t.is(parseResourceId(text), ID);
});

test('a refusal names what was understood of the id', (t) => {
  const cases = {
    '666devil': '00000000-0000-0000-0000-000000000000',
    '7d4a1c7e-2b1f-4c3d-8e9f-0a1b2c3d4eXX': '7d4a1c7e-2b1f-4c3d-8e9f-0a1b2c3d4e00',
    '7d4a1c7e-2b1fx4c3d-8e9f-0a1b2c3d4e5f': '7d4a1c7e-2b1f-0000-0000-000000000000',
    '7d4aXc7e-2b1f-4c3d-8e9f-0a1b2c3d4e5f': '7d4a0000-0000-0000-0000-000000000000',
    [`${ID}00`]: '7d4a1c7e-2b1f-4c3d-8e9f-000000000000',
  };
  for (const [text, understood] of Object.entries(cases)) {
    const error = t.throws(() => parseResourceId(text, 'algo UUID'));
    t.true(error?.message.startsWith(`Impossible to parse algo UUID ${understood}: `), error?.message);
    t.true(isPlatformError(error, 'invalid_request'));
  }
});
