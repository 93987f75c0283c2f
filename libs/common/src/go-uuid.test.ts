import test from 'ava';
import fc from 'fast-check';
import { GoUuidError, isUuid, parseGoUuid } from './uuid.ts';

const CANONICAL = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';

const ACCEPTED = {
  canonical: CANONICAL,
  'upper case': CANONICAL.toUpperCase(),
  braces: `{${CANONICAL}}`,
  'a URN': `urn:uuid:${CANONICAL}`,
  'an opening brace alone': `{${CANONICAL}`,
};

for (const [name, text] of Object.entries(ACCEPTED)) {
  test(`A UUID is accepted as ${name}`, (t) => {
    t.is(parseGoUuid(text), CANONICAL);
  });
}

const REFUSED = {
  '': 'uuid: UUID string too short: ',
  'too short': 'uuid: UUID string too short: too short',
  [CANONICAL.slice(0, -2)]: `uuid: UUID string too short: ${CANONICAL.slice(0, -2)}`,
  [CANONICAL.replaceAll('-', '')]: 'uuid: invalid string format',
  [CANONICAL.replaceAll('-', '_')]: 'uuid: invalid string format',
  [`${CANONICAL}00`]: 'uuid: UUID string too long: 2b6d1f7c0a1100',
  [`${CANONICAL}}`]: 'uuid: UUID string too long: 2b6d1f7c0a11}',
  [`{${CANONICAL}}}`]: 'uuid: UUID string too long: 2b6d1f7c0a11}}',
  [CANONICAL.replace('a', 'g')]: "encoding/hex: invalid byte: U+0067 'g'",
  'urn:uuid:6c7a2f5e-0b1d-4f0c-9f8e': 'uuid: invalid string format',
};

for (const [text, message] of Object.entries(REFUSED)) {
  test(`The text "${text}" is refused in the words of the originals`, (t) => {
    t.throws(() => parseGoUuid(text), { instanceOf: GoUuidError, message });
  });
}

test('A refusal tells what was read so far', (t) => {
  const soFar = (text: string) => {
    const error = t.throws(() => parseGoUuid(text), { instanceOf: GoUuidError });
    return error?.soFar;
  };
  t.is(soFar(''), '00000000-0000-0000-0000-000000000000');
  t.is(soFar(CANONICAL.replaceAll('-', '_')), '6c7a2f5e-0000-0000-0000-000000000000');
  t.is(soFar(CANONICAL.replace('4f0c', '4f0x')), '6c7a2f5e-0b1d-4f00-0000-000000000000');
  t.is(soFar(`${CANONICAL}0`), '6c7a2f5e-0b1d-4f0c-9f8e-000000000000');
});

test('Every UUID is read in each of its forms', (t) => {
  const forms = [
    (id: string) => id,
    (id: string) => id.toUpperCase(),
    (id: string) => `{${id}}`,
    (id: string) => `urn:uuid:${id}`,
  ];
  fc.assert(
    fc.property(fc.uuid(), fc.constantFrom(...forms), (id, form) => {
      t.is(parseGoUuid(form(id)), id);
    }),
  );
  t.pass();
});

test('Any text is a UUID or is refused with a reason', (t) => {
  const like = fc.stringMatching(/^[{u]?[0-9a-fg-]{30,40}\}?$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), like), (text) => {
      try {
        t.true(isUuid(parseGoUuid(text)));
      } catch (error) {
        t.true(error instanceof GoUuidError && isUuid(error.soFar));
      }
    }),
  );
});
