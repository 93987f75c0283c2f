import test from 'ava';
import fc from 'fast-check';
import { isUuid, NIL_UUID, uuid } from './uuid.ts';

test('A UUID is handed on in lower case', (t) => {
  fc.assert(
    fc.property(fc.uuid(), (id) => {
      t.is(uuid.parse(id.toUpperCase()), id);
      t.true(isUuid(id.toUpperCase()));
    }),
  );
});

test('Anything but a canonical UUID is refused, the nil one too', (t) => {
  for (const text of [
    '',
    'x',
    NIL_UUID,
    '6c7a2f5e0b1d4f0c9f8e2b6d1f7c0a11',
    '{6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11}',
  ]) {
    t.false(uuid.safeParse(text).success, text);
  }
  t.true(isUuid(NIL_UUID));
  t.false(isUuid('6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11\n'));
});
