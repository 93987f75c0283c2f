import { isPlatformError } from '@morpheo/common';
import { memoryLog, silentLog } from '@morpheo/service/log';
import { makeImage, startTestRegistry, type TestRegistry } from '@morpheo/service/registry/testing';
import { parseShepherdFile, type Sheep } from '@morpheo/service/shepherd';
import test from 'ava';
import { RegistryModels } from './models.ts';

const SHEEP = { id: 'cpu', type: 'docker', port: 9001, gpus: [] } as const;
const BARE: Sheep = {
  ...{ id: 'bare', port: 9001, gpus: [], program: ['run'], workingDirectory: '/srv' },
  ...{ type: 'bare', stdoutFile: undefined, stderrFile: undefined },
};
const OCR = { name: 'ocr', version: '1.0.42' };
const LATER_MS = 31_000;

function registryAt(url: string, more = '') {
  const text = `data_root: /d\nregistry:\n  url: ${url}\n${more}sheep:\n  a: {type: docker, port: 1}\n`;
  return parseShepherdFile(text, 'of the test', {}).registry;
}

/** Puts another image under the tag of the model, and says its digest. */
async function putOcr(registry: TestRegistry, repository = 'ocr'): Promise<string> {
  const image = await makeImage({ config: { Labels: { made: String(registry.seen.length) } } });
  registry.put(repository, image);
  return registry.putOne(repository, image.manifest, 'manifests', OCR.version).digest;
}

test('A model is the image of its name and version in the registry, with the digest that its tag has now', async (t) => {
  await using registry = await startTestRegistry();
  const first = await putOcr(registry);
  const clock = { ms: 0 };
  const models = new RegistryModels(registryAt(registry.address), silentLog, () => clock.ms);
  const { image = '' } = await models.find(OCR, SHEEP);
  t.is(image, `${registry.host}/ocr:1.0.42@${first}`);
  t.deepEqual(models.nameOf({ job: { image, inputs: [] } }), OCR);
  t.deepEqual(models.nameOfImage(image), OCR);
  t.is(models.nameOfImage(`other.example/ocr:1@${first}`), undefined);
  const second = await putOcr(registry);
  t.not(second, first);
  const asked = registry.seen.length;
  t.is((await models.find(OCR, SHEEP)).image, image);
  t.is(registry.seen.length, asked);
  clock.ms += LATER_MS;
  t.is((await models.find(OCR, SHEEP)).image, `${registry.host}/ocr:1.0.42@${second}`);
});

test('The registry may have a path and a password', async (t) => {
  const who = { username: 'robot', password: 'of-the-test-only' };
  await using registry = await startTestRegistry({ auth: { scheme: 'basic', ...who } });
  const digest = await putOcr(registry, 'team/ocr');
  const credentials = `  username: ${who.username}\n  password: ${who.password}\n`;
  const models = new RegistryModels(registryAt(`${registry.address}/team/`, credentials), silentLog);
  const { image = '' } = await models.find(OCR, SHEEP);
  t.is(image, `${registry.host}/team/ocr:1.0.42@${digest}`);
  t.deepEqual(models.nameOfImage(image), OCR);
});

test('A model that the registry does not have, and a name that none can have, is a fault of the request', async (t) => {
  await using registry = await startTestRegistry();
  const models = new RegistryModels(registryAt(registry.address), silentLog);
  for (const [name, version, message] of [
    ['ocr', '1', /^Unknown model `ocr:1`: /],
    ['No Name', '1', /should have a name of small letters/],
    ['ocr', 'a b', /should have a tag/],
    ['../other', '1', /should have a name/],
  ] as const) {
    const error = await t.throwsAsync(models.find({ name, version }, SHEEP));
    t.true(isPlatformError(error, 'invalid_request'));
    t.regex(error.message, message);
  }
  await t.throwsAsync(models.find({ name: null, version: '1' }, SHEEP), { message: /should have a name/ });
});

test('Where the registry is away, what a tag meant is used, and a model that was never asked for is unavailable', async (t) => {
  const log = memoryLog();
  const clock = { ms: 0 };
  const registry = await startTestRegistry();
  await putOcr(registry);
  const models = new RegistryModels(registryAt(registry.address), log, () => clock.ms);
  const before = await models.find(OCR, SHEEP);
  await registry[Symbol.asyncDispose]();
  clock.ms += LATER_MS;
  t.deepEqual(await models.find(OCR, SHEEP), before);
  t.true(log.entries.some(({ level }) => level === 'warn'));
  const error = await t.throwsAsync(models.find({ ...OCR, name: 'other' }, SHEEP));
  t.true(isPlatformError(error, 'unavailable'));
});

test('A bare sheep has its models itself, and without a registry a model is an algorithm on storage', async (t) => {
  const models = new RegistryModels(undefined, silentLog);
  t.deepEqual(await models.find(OCR, BARE), { sheep: { id: 'bare', ...OCR } });
  t.deepEqual(models.nameOf({ job: { sheep: { id: 'bare', ...OCR }, inputs: [] } }), OCR);
  for (const part of [null, '', '../other', '-p', 'a/b']) {
    for (const model of [
      { ...OCR, name: part },
      { ...OCR, version: part },
    ])
      t.true(isPlatformError(await t.throwsAsync(models.find(model, BARE)), 'invalid_request'));
  }
  const algo = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
  t.deepEqual(await models.find({ name: algo.toUpperCase(), version: null }, undefined), { algo });
  t.deepEqual(models.nameOf({ algo }), { name: algo, version: null });
  await t.throwsAsync(models.find(OCR, undefined), { message: /no registry is configured/ });
});
