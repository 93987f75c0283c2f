import test from 'ava';
import fc from 'fast-check';
import { formatBaggage, parseBaggage } from './baggage.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

const hex = (digits: number) =>
  fc
    .array(fc.integer({ min: 0, max: 15 }), { minLength: digits, maxLength: digits })
    .map((list) => list.map((digit) => digit.toString(16)).join(''))
    .filter((text) => !/^0+$/.test(text));

test('A trace parent that is written is read the same', (t) => {
  fc.assert(
    fc.property(hex(32), hex(16), fc.integer({ min: 0, max: 255 }), (traceId, spanId, flags) => {
      t.deepEqual(parseTraceparent(formatTraceparent({ traceId, spanId, flags })), {
        traceId,
        spanId,
        flags,
      });
    }),
  );
});

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

for (const [what, text] of [
  ['nothing', ''],
  ['no form', 'hello'],
  ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['capital letters', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['the version that is never given', `ff-${TRACE}-${SPAN}-01`],
  ['more than version 00 has', `00-${TRACE}-${SPAN}-01-more`],
] as const) {
  test(`A trace parent of ${what} is ignored`, (t) => t.is(parseTraceparent(text), undefined));
}

test('A trace parent of a later version is read as far as it is known', (t) => {
  t.deepEqual(parseTraceparent(`01-${TRACE}-${SPAN}-01-more`), { traceId: TRACE, spanId: SPAN, flags: 1 });
});

test('The order and attempt that are told are read the same', (t) => {
  fc.assert(
    fc.property(
      fc.uuid(),
      fc.option(fc.integer({ min: 1, max: 999_999 }), { nil: undefined }),
      (order, attempt) => {
        const concern = attempt === undefined ? { order } : { order, attempt };
        t.deepEqual(parseBaggage(formatBaggage(concern)), concern);
      },
    ),
  );
});

test('Other members of a baggage field are passed over', (t) => {
  const order = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
  t.deepEqual(parseBaggage(`a=b;c=d, morpheo.order = ${order};ttl=1 ,=,x,morpheo.attempt=2`), {
    order,
    attempt: 2,
  });
});

test('Whatever stands in a baggage field, only ids and numbers come of it', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (order, attempt) => {
      const read = parseBaggage(`morpheo.order=${order},morpheo.attempt=${attempt}`);
      t.true(read.order === undefined || /^[0-9a-f-]{36}$/i.test(read.order));
      t.true(read.attempt === undefined || Number.isInteger(read.attempt));
    }),
  );
  t.deepEqual(parseBaggage('morpheo.order=a\nlevel=fatal'), {});
});
