import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import test from 'ava';
import { runCli } from '../index.ts';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS } from '../testing/samples.ts';
import { Screen } from '../testing/screen.ts';
import { fakeStorage } from '../testing/storage-fake.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';

async function setUp(bytes: Uint8Array = randomBytes(300_000)) {
  const stack = new AsyncDisposableStack();
  const storage = fakeStorage();
  const platform = stack.use(await fakePlatform({ storage: storage.api }));
  const folder = stack.use(await temporaryFolder());
  const resource = storage.add('model', bytes, { uuid: IDS.model, algo: IDS.algo });
  return {
    storage,
    env: platform.env,
    folder,
    bytes,
    resource,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Sends so many bytes and then breaks the connection. */
function cutAfter(bytes: Uint8Array, count: number): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream(
    {
      pull(controller) {
        if (sent) return controller.error(new Error('The cable was pulled'));
        sent = true;
        controller.enqueue(bytes.subarray(0, count));
      },
    },
    { highWaterMark: 0 },
  );
}

test('What storage knows of a thing is shown', async (t) => {
  await using place = await setUp();
  const { code, stdout } = await morpheo(['get', 'model', 'f3b0'], { env: place.env });
  t.is(code, 0);
  t.regex(
    stdout,
    new RegExp(
      `^model +${IDS.model}\nalgo +${IDS.algo}\nsize +300 kB \\(300,000 bytes\\)\nsha256 +${place.resource.sha256}\n`,
    ),
  );
  const json = await morpheo(['get', 'model', IDS.model, '--json'], { env: place.env });
  t.deepEqual(JSON.parse(json.stdout), place.resource);
});

test('A thing that is not there is exit code 4', async (t) => {
  await using place = await setUp();
  t.is((await morpheo(['get', 'algo', IDS.algo], { env: place.env })).code, 4);
  const { code, stderr } = await morpheo(['get', 'data', 'abcd'], { env: place.env });
  t.is(code, 4);
  t.is(stderr, 'error: No data set has an id that begins with abcd.\n');
});

test('A download is verified and lands under its name alone', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('model.tar.gz');
  const argv = ['get', 'model', IDS.model, '-o', target, '--json'];
  const { code, stdout, stderr } = await morpheo(argv, { env: place.env });
  t.is(code, 0, stderr);
  t.deepEqual(await readFile(target), Buffer.from(place.bytes));
  t.deepEqual(await readdir(place.folder.path), ['model.tar.gz']);
  t.like(JSON.parse(stdout), { uuid: IDS.model, file: target });
  // A slow machine is told of its progress first.
  t.regex(stderr, /^(downloading model .*\n)*downloaded 300 kB in .*; SHA-256 verified\n$/);
});

test('Data and empty things are downloaded as well', async (t) => {
  await using place = await setUp();
  place.storage.add('data', Buffer.from('digits'), { uuid: IDS.data });
  place.storage.add('prediction', Buffer.alloc(0), { uuid: IDS.test });
  const { env, folder } = place;
  t.is((await morpheo(['get', 'data', IDS.data, '-o', folder.file('d')], { env })).code, 0);
  t.is((await morpheo(['get', 'prediction', IDS.test, '-o', folder.file('p')], { env })).code, 0);
  t.is(await readFile(folder.file('d'), 'utf8'), 'digits');
  t.is(await readFile(folder.file('p'), 'utf8'), '');
});

test('A download that is cut goes on where it was', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('out');
  let cuts = 0;
  const { send } = place.storage;
  place.storage.send = (bytes) => {
    cuts += 1;
    return cuts === 1 ? cutAfter(bytes, 100_000) : send(bytes);
  };
  const { code, stderr } = await morpheo(['get', 'model', IDS.model, '-o', target], { env: place.env });
  t.is(code, 0, stderr);
  // How much of what was sent before the cut arrives is the network's to say.
  t.is(place.storage.ranges.length, 2);
  t.regex(place.storage.ranges[1] ?? '', /^bytes=[1-9]\d{0,5}-$/);
  t.deepEqual(await readFile(target), Buffer.from(place.bytes));
});

test('A download that stays cut keeps its part for next time', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('out');
  const { send } = place.storage;
  place.storage.send = (bytes) => cutAfter(bytes, bytes.byteLength === 300_000 ? 100_000 : 0);
  const first = await morpheo(['get', 'model', IDS.model, '-o', target], { env: place.env });
  t.is(first.code, 3);
  t.regex(first.stderr, /was cut after [\d.]+ kB of 300 kB .*the same command goes on from there/);
  t.deepEqual(await readdir(place.folder.path), ['out.part']);
  const { size } = await stat(`${target}.part`);
  place.storage.send = send;
  place.storage.ranges.length = 0;
  const second = await morpheo(['get', 'model', IDS.model, '-o', target, '--progress'], { env: place.env });
  t.is(second.code, 0);
  t.deepEqual(place.storage.ranges, [`bytes=${size}-`]);
  t.deepEqual(await readFile(target), Buffer.from(place.bytes));
  t.regex(
    second.stderr,
    /[1-3]\d% {2}\S+ kB of 300 kB[\s\S]*downloaded \S+ kB .*\(\S+ kB were there already\)/,
  );
});

test('A part of other bytes is thrown away and fetched anew', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('out');
  for (const size of [1000, 300_000, 300_001]) {
    await writeFile(`${target}.part`, Buffer.alloc(size));
    t.is((await morpheo(['get', 'model', IDS.model, '-o', target, '--force'], { env: place.env })).code, 0);
    t.deepEqual(await readFile(target), Buffer.from(place.bytes));
  }
});

test('False bytes are exit code 1 and nothing is left', async (t) => {
  await using place = await setUp();
  place.storage.send = (bytes) => new Blob([Buffer.alloc(bytes.byteLength)]).stream();
  const { code, stdout, stderr } = await morpheo(
    ['get', 'model', IDS.model, '-o', place.folder.file('out')],
    {
      env: place.env,
    },
  );
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /error: The bytes of model .* do not have the SHA-256 that storage tells/);
  t.deepEqual(await readdir(place.folder.path), []);
});

test('A file that is there is replaced only by force', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('out');
  await writeFile(target, 'mine');
  const argv = ['get', 'model', IDS.model, '-o', target];
  const { code, stderr } = await morpheo(argv, { env: place.env });
  t.is(code, 2);
  t.regex(stderr, /out is there already/);
  t.is(await readFile(target, 'utf8'), 'mine');
  t.is((await morpheo([...argv, '--force'], { env: place.env })).code, 0);
  t.deepEqual(await readFile(target), Buffer.from(place.bytes));
});

test('A folder that is not there is named', async (t) => {
  await using place = await setUp();
  const argv = ['get', 'model', IDS.model, '-o', place.folder.file('absent/out')];
  const { code, stderr } = await morpheo(argv, { env: place.env });
  t.is(code, 2);
  t.regex(stderr, /absent\/out\.part cannot be written/);
});

test('The bytes can go to stdout, and are verified there too', async (t) => {
  await using place = await setUp();
  const argv = ['get', 'model', IDS.model, '-o', '-'];
  const stdout = new Screen();
  const call = { argv, env: place.env, stdout, stderr: new Screen() };
  t.is(await runCli(call), 0);
  t.deepEqual(stdout.bytes, Buffer.from(place.bytes));
  place.storage.send = (bytes) => new Blob([Buffer.alloc(bytes.byteLength)]).stream();
  t.is(await runCli(call), 1);
  t.is((await morpheo([...argv, '--json'], { env: place.env })).code, 2);
});
