import { NIL_UUID } from '@morpheo/common';
import { refused, textOf } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { bodyOf, FORM_TYPE, type FormPart, formBytes, formOf, id, sha256 } from '../testing/requests.ts';

type FormType = 'problem' | 'algo' | 'data' | 'prediction';

const TAIL = 'Make sure that each form field is sent before blob in the multipart/form';
const PROBLEM = [
  ['uuid', id(1)],
  ['name', 'sleep'],
  ['description', 'stages'],
  ['size', '666'],
] as const;

const post = ({ api }: TestStorage, type: FormType, ...parts: readonly FormPart[]) =>
  api.upload({ params: { type }, query: {}, body: formOf(...parts) });

/** What a type needs beside its blob. */
const NEEDED: Readonly<Record<FormType, readonly FormPart[]>> = {
  problem: PROBLEM.slice(1),
  algo: [
    ['name', 'n'],
    ['size', '1'],
  ],
  data: [['size', '1']],
  prediction: [['size', '1']],
};

testOnEngines('a form makes a thing of its type with its bytes', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const blob = 'the\r\n--bytes\0';
  const made = await post(storage, 'problem', ...PROBLEM, ['blob', blob]);
  t.like(made, {
    uuid: id(1),
    name: 'sleep',
    description: 'stages',
    size: blob.length,
    sha256: sha256(blob),
  });
  t.true(Math.abs(Date.now() / 1000 - ('timestamp_upload' in made ? made.timestamp_upload : 0)) < 60);
  t.deepEqual(await storage.api.get({ params: { type: 'problem', uuid: id(1) } }), made);
  t.is(
    await textOf(await storage.api.getBlob({ params: { type: 'problem', uuid: id(1) }, headers: {} })),
    blob,
  );
});

testOnEngines('a form without uuid gets a new one', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const type of ['problem', 'algo', 'data', 'prediction'] as const) {
    const { uuid } = await post(storage, type, ...NEEDED[type], ['blob', type]);
    t.regex(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});

testOnEngines('the parts before the blob may come in any order', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const made = await post(storage, 'prediction', ['size', '5'], ['uuid', id(5)], ['blob', 'guess']);
  t.is(made.uuid, id(5));
});

testOnEngines('a size that is not that of the blob is taken, as ever', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  for (const [index, size] of ['666', '-7', '+3', '9223372036854775807'].entries()) {
    await t.notThrowsAsync(
      post(storage, 'data', ['uuid', id(index + 1)], ['size', size], ['blob', 'abc']),
      size,
    );
  }
});

testOnEngines('a false form is refused in the words of the originals', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const long = 'x'.repeat(256);
  const cases: [FormType, FormPart[], string][] = [
    ['data', [['uuid', 'invalid']], 'Error parsing UUID uuid: UUID string too short: invalid'],
    [
      'data',
      [['uuid', long]],
      'Error reading UUID Buffer overflow reading uuid (max length is 255 in base 10)',
    ],
    [
      'problem',
      [['name', long]],
      'Error reading Name: Buffer overflow reading name (max length is 255 in base 10)',
    ],
    [
      'problem',
      [['description', long]],
      'Error reading description: Buffer overflow reading description (max length is 255 in base 10)',
    ],
    [
      'data',
      [['size', '1'.repeat(21)]],
      'Error reading size field: Buffer overflow reading size (max length is 20 in base 10)',
    ],
    [
      'data',
      [['size', 'x']],
      'Error parsing size field to integer: strconv.ParseInt: parsing "x": invalid syntax',
    ],
    [
      'data',
      [['size', '9'.repeat(20)]],
      `Error parsing size field to integer: strconv.ParseInt: parsing "${'9'.repeat(20)}": value out of range`,
    ],
    ['data', [['colour', 'red']], 'Unknown field "colour"'],
    [
      'data',
      [
        ['name', 'n'],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: name is not a valid field for data. ${TAIL}`,
    ],
    [
      'prediction',
      [
        ['name', 'n'],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: name is not a valid field for problem. ${TAIL}`,
    ],
    [
      'algo',
      [
        ['name', 'n'],
        ['description', 'd'],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: description is not a valid field for algo. ${TAIL}`,
    ],
    [
      'data',
      [
        ['uuid', NIL_UUID],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: 'UUID' unset. ${TAIL}`,
    ],
    [
      'problem',
      [
        ['description', 'd'],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: 'Name' unset. ${TAIL}`,
    ],
    [
      'problem',
      [
        ['name', 'n'],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: 'Description' unset. ${TAIL}`,
    ],
    [
      'algo',
      [
        ['name', ''],
        ['size', '1'],
        ['blob', 'b'],
      ],
      `Invalid form: 'Name' unset. ${TAIL}`,
    ],
    ['data', [['blob', 'b']], `Invalid form: 'Size' unset. ${TAIL}`],
    [
      'data',
      [
        ['size', '0'],
        ['blob', 'b'],
      ],
      `Invalid form: 'Size' unset. ${TAIL}`,
    ],
    ['problem', [['blob', 'b'], ...PROBLEM], `Invalid form: 'Name' unset. ${TAIL}`],
    ['data', [['size', '1']], 'Premature EOF while parsing request'],
    ['data', [], 'Premature EOF while parsing request'],
  ];
  for (const [type, parts, text] of cases) {
    await refused(t, post(storage, type, ...parts), 'invalid_upload', `[Error uploading ${type}] ${text}`);
  }
  t.deepEqual(await storage.files(), []);
});

testOnEngines('what is no form is refused in the words of the originals', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const send = (type: FormType, body: string, contentType?: string) =>
    storage.api.upload({ params: { type }, query: {}, body: bodyOf(body, { contentType }) });
  const uploading = (type: FormType, text: string) => `[Error uploading ${type}] ${text}`;
  const NO_TYPE = 'Error parsing header "Content-Type": mime: no media type';
  const NO_FORM = 'Invalid media type: invalid. Should be: multipart/form-data';
  for (const type of ['problem', 'algo', 'data', 'prediction'] as const) {
    await refused(t, send(type, ''), 'invalid_upload', uploading(type, NO_TYPE));
    await refused(t, send(type, '', 'invalid'), 'invalid_upload', uploading(type, NO_FORM));
    const cut = formBytes([...NEEDED[type], ['blob', 'bytes']])
      .toString()
      .slice(0, -30);
    await refused(t, send(type, cut, FORM_TYPE), 'invalid_upload', /\] Error parsing multipart data: /);
  }
  await refused(
    t,
    send('prediction', 'bytes', 'text/plain'),
    'invalid_upload',
    /Invalid media type: text\/plain\./,
  );
  t.deepEqual(await storage.files(), []);
});

testOnEngines(
  'a uuid that is taken is refused before anything behind it is read',
  async (t, openTestStorage) => {
    await using storage = await openTestStorage();
    await post(storage, 'problem', ...PROBLEM, ['blob', 'first']);
    const text = `[Error uploading problem] [model] UUID ${id(1)} already exist in table 'problem'`;
    await refused(t, post(storage, 'problem', ['uuid', id(1)], ['colour', 'red']), 'conflict', text);
    await t.notThrowsAsync(
      post(storage, 'data', ['uuid', id(1)], ['size', '1'], ['blob', 'of another type']),
    );
  },
);

testOnEngines('of uploads of one uuid at once exactly one is made', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const uploads = Array.from({ length: 12 }, (_, index) =>
    post(storage, 'data', ['uuid', id(1)], ['size', '1'], ['blob', `bytes of ${index}`]),
  );
  const outcomes = await Promise.allSettled(uploads);
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') await refused(t, Promise.reject(outcome.reason), 'conflict');
  }
  const made = await storage.api.get({ params: { type: 'data', uuid: id(1) } });
  t.deepEqual(await storage.files(), [made.sha256]);
});

testOnEngines('the same bytes uploaded twice are stored once', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  await Promise.all([
    post(storage, 'data', ['size', '1'], ['blob', 'same']),
    post(storage, 'data', ['size', '1'], ['blob', 'same']),
    post(storage, 'prediction', ['size', '1'], ['blob', 'same']),
  ]);
  t.deepEqual(await storage.files(), [sha256('same')]);
});

testOnEngines('a promised digest is checked, and with it the size', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const digest = sha256('bytes');
  const send = (...parts: FormPart[]) => post(storage, 'data', ...parts, ['blob', 'bytes']);
  const said = /^\[Error uploading data\] The blob should have/;
  await refused(t, send(['size', '5'], ['sha256', sha256('other')]), 'digest_mismatch', said);
  await refused(t, send(['size', '6'], ['sha256', digest]), 'digest_mismatch', said);
  await refused(t, send(['size', '5'], ['sha256', 'abc']), 'invalid_upload', /Error parsing sha256/);
  t.deepEqual(await storage.files(), []);
  await t.notThrowsAsync(send(['size', '5'], ['sha256', digest.toUpperCase()]));
});

testOnEngines('the operator may ask for true sizes', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ strictSize: true });
  await refused(t, post(storage, 'data', ['size', '666'], ['blob', 'abc']), 'digest_mismatch');
  t.deepEqual(await storage.files(), []);
  await t.notThrowsAsync(post(storage, 'data', ['size', '3'], ['blob', 'abc']));
});

testOnEngines('an upload over the limit is refused and leaves nothing', async (t, openTestStorage) => {
  await using storage = await openTestStorage({ maxUploadBytes: 1000 });
  await refused(t, post(storage, 'data', ['size', '1'], ['blob', 'x'.repeat(1001)]), 'too_large');
  await t.notThrowsAsync(post(storage, 'data', ['size', '1'], ['blob', 'x'.repeat(1000)]));
  async function* never() {
    yield await Promise.reject(new Error('a body that is announced too large is not read'));
  }
  const body = { body: never(), contentLength: 2_000_000, contentType: 'application/x-tar' };
  await refused(t, storage.api.upload({ params: { type: 'data' }, query: {}, body }), 'too_large');
});

testOnEngines('an upload that is aborted leaves nothing', async (t, openTestStorage) => {
  await using storage = await openTestStorage();
  const abort = new AbortController();
  async function* source() {
    yield formBytes([
      ['size', '1'],
      ['blob', 'x'.repeat(100_000)],
    ]).subarray(0, 50_000);
    abort.abort(new Error('given up'));
    await new Promise(() => {});
  }
  const body = { body: source(), contentType: FORM_TYPE };
  await t.throwsAsync(
    storage.api.upload({ params: { type: 'data' }, query: {}, body }, { signal: abort.signal }),
  );
  t.deepEqual(await storage.files(), []);
});
