import test from 'ava';
import fc from 'fast-check';
import * as z from 'zod';
import { learnuplet } from '../order.ts';
import { NIL_UUID } from '../uuid.ts';
import {
  decodeGoJson,
  GoJsonError,
  goInt,
  goOptionalInt,
  goOptionalNeeds,
  goString,
  goStruct,
  goUuid,
  goUuidList,
} from './go-json.ts';

const ID = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
const order = goStruct({ uuid: goUuid, data: goUuidList, rank: goInt, status: goString });
const ZERO = { uuid: NIL_UUID, data: [], rank: 0, status: '' };
const decode = (text: string) => decodeGoJson(text, order);

/** A body, and what differs from the zero values. */
const READ: Readonly<Record<string, Partial<z.output<typeof order>>>> = {
  '{}': {},
  null: {},
  '{"uuid":null,"data":null,"rank":null,"status":null}': {},
  [`{"uuid":"${ID.toUpperCase()}"}`]: { uuid: ID },
  [`{"uuid":"{${ID}}"}`]: { uuid: ID },
  [`{"uuid":"urn:uuid:${ID}"}`]: { uuid: ID },
  [`{"data":["${ID}",null]}`]: { data: [ID, NIL_UUID] },
  '{"data":[]}': {},
  '{"rank":-7}': { rank: -7 },
  '{"rank":-0}': {},
  '{"STATUS":"todo","Rank":2}': { status: 'todo', rank: 2 },
  '{"rank":1,"rank":2}': { rank: 2 },
  '{"rank":1,"RANK":3}': { rank: 3 },
  '{"other":{"rank":1.5},"rank":1}': { rank: 1 },
  '{"status":"1.5e3: [2.5]"}': { status: '1.5e3: [2.5]' },
  '{"Checkable":null}': {},
  '{"rank":1} {"rank":2}': { rank: 1 },
  '{"rank":1}}]garbage': { rank: 1 },
  ' \n\t{"status":"}\\"{"}x': { status: '}"{' },
  nullgarbage: {},
};

for (const [text, read] of Object.entries(READ)) {
  test(`The body ${text} is read as the originals read it`, (t) => {
    t.deepEqual(decode(text), { ...ZERO, ...read });
  });
}

/** A body, and the text of its refusal. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  '': /^EOF$/,
  ' \n': /^EOF$/,
  '{"uuid":"': /^unexpected EOF$/,
  '{"rank":1': /^unexpected EOF$/,
  '{"uuid":""}': /^uuid: UUID string too short: $/,
  [`{"uuid":"${ID.replaceAll('-', '')}"}`]: /^uuid: invalid string format$/,
  '{"uuid":7}': /^json: cannot unmarshal number/,
  '{"data":"x"}': /^json: cannot unmarshal string/,
  '{"data":[""]}': /^uuid: UUID string too short: $/,
  '{"rank":1.5}': /^json: cannot unmarshal number 1\.5 /,
  '{"rank":1e2}': /^json: cannot unmarshal number 1e2 /,
  '{"rank":1.0}': /^json: cannot unmarshal number 1\.0 /,
  '{"rank":"3"}': /^json: cannot unmarshal string/,
  '{"rank":9007199254740993}': /^json: cannot unmarshal number/,
  '{"status":3}': /^json: cannot unmarshal number/,
  '{"Checkable":{}}': /^json: cannot unmarshal object/,
  '[]': /^json: cannot unmarshal array/,
  '"x"': /^json: cannot unmarshal string/,
  '7': /^json: cannot unmarshal number/,
  true: /^json: cannot unmarshal bool/,
  '{rank:1}': /./,
  nonsense: /./,
  '\u{feff}{}': /./,
};

for (const [text, message] of Object.entries(REFUSED)) {
  test(`The body ${JSON.stringify(text)} is refused`, (t) => {
    t.throws(() => decode(text), { instanceOf: GoJsonError, message });
  });
}

test('Nesting without end is refused', (t) => {
  t.throws(() => decode(`{"other":${'['.repeat(100_000)}1.5${']'.repeat(100_000)}}`), {
    instanceOf: GoJsonError,
  });
});

test('Any text is read or refused, and nothing else is thrown', (t) => {
  const jsonLike = fc.stringMatching(/^[{}[\]":,0-9.e\\ntrufalse-]{0,30}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), jsonLike), (text) => {
      try {
        decode(text);
      } catch (error) {
        t.true(error instanceof GoJsonError, text);
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

/** `text` with each letter in upper case where `mask` says so. */
function mixCase(text: string, mask: readonly boolean[]): string {
  return [...text].map((char, at) => (mask[at % mask.length] === true ? char.toUpperCase() : char)).join('');
}

test('Keys match in any case', (t) => {
  const mask = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      fc.constantFrom('uuid', 'rank', 'status', 'data'),
      mask,
      fc.integer(),
      (key, letters, rank) => {
        const values = { uuid: ID, rank, status: 's', data: [ID] };
        const body = JSON.stringify({ [mixCase(key, letters)]: values[key as keyof typeof values] });
        t.deepEqual(decode(body), { ...ZERO, [key]: values[key as keyof typeof values] });
      },
    ),
  );
  t.pass();
});

test('What follows the first value changes nothing', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.integer(), (status, rest, rank) => {
      t.deepEqual(decode(JSON.stringify({ status, rank }) + rest), { ...ZERO, status, rank });
    }),
  );
  t.pass();
});

test('Unknown members change nothing', (t) => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string().map((key) => `x${key}`),
        fc.jsonValue(),
      ),
      (unknown) => {
        t.deepEqual(decode(JSON.stringify({ ...unknown, rank: 1 })), { ...ZERO, rank: 1 });
      },
    ),
  );
  t.pass();
});

test('What was read once reads the same again', (t) => {
  const first = decodeGoJson(`{"uuid":"${ID}","train_data":["${ID}"],"model_start":null}`, learnuplet);
  t.deepEqual(decodeGoJson(JSON.stringify(first), learnuplet), first);
  t.deepEqual(learnuplet.parse(first), first);
});

test('The schemas say in JSON Schema what they take', (t) => {
  const schema = z.toJSONSchema(order, { io: 'input' });
  t.deepEqual(schema.required ?? [], []);
  t.like(schema.properties, {
    uuid: { type: ['string', 'null'], format: 'uuid' },
    data: { type: ['array', 'null'], items: { type: ['string', 'null'], format: 'uuid' } },
    rank: { type: ['integer', 'null'] },
    status: { type: ['string', 'null'] },
  });
});

test('A field of ours that is absent or null is kept apart from 0', (t) => {
  const ours = goStruct({ rank: goInt, gpus: goOptionalInt });
  t.deepEqual(decodeGoJson('{"GPUs": 0}', ours), { rank: 0, gpus: 0 });
  t.deepEqual(decodeGoJson('{"gpus": 2}', ours), { rank: 0, gpus: 2 });
  t.is(JSON.stringify(decodeGoJson('{}', ours)), '{"rank":0}');
  t.is(JSON.stringify(decodeGoJson('{"gpus": null}', ours)), '{"rank":0}');
  for (const wrong of ['"2"', '1.5', '[]', 'true', '1e2']) {
    const error = t.throws(() => decodeGoJson(`{"gpus": ${wrong}}`, ours), { instanceOf: GoJsonError });
    t.regex(error.message, /^json: cannot unmarshal .* into Go value of type int$/);
  }
});

test('Needs are the same however they are written, and an unknown one is refused', (t) => {
  const ours = goStruct({ needs: goOptionalNeeds });
  const one = decodeGoJson('{"needs": {"labels": {"b": "2", "a": "1"}, "arch": "amd64"}}', ours);
  t.is(JSON.stringify(one), '{"needs":{"arch":"amd64","labels":{"a":"1","b":"2"}}}');
  for (const nothing of ['{}', '{"needs": null}', '{"needs": {}}', '{"needs": {"labels": {}}}']) {
    t.is(JSON.stringify(decodeGoJson(nothing, ours)), '{}');
  }
  for (const [wrong, said] of [
    ['"docker"', /^json: cannot unmarshal string into Go value of type needs$/],
    ['1.5', /^json: cannot unmarshal number 1\.5 /],
    ['{"cpu": 4}', /^needs: .*cpu/],
    ['{"arch": 64}', /^needs\.arch: /],
    ['{"labels": {"a": null}}', /^needs\.labels\.a: /],
  ] as const) {
    t.throws(() => decodeGoJson(`{"needs": ${wrong}}`, ours), { instanceOf: GoJsonError, message: said });
  }
});
