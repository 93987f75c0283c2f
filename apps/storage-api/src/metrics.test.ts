import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFigures } from '@morpheo/service/testing';
import test from 'ava';
import { as } from './resumable/testing.ts';
import { openTestService, type TestCaller, type TestService } from './testing/open-service.ts';
import { FORM_TYPE, formBytes, id } from './testing/requests.ts';

async function upload(
  { call }: TestService,
  uuid: string,
  bytes: string,
  caller: TestCaller = 'uploader',
): Promise<number> {
  const body = new Uint8Array(
    formBytes([
      ['uuid', uuid],
      ['size', String(bytes.length)],
      ['blob', bytes],
    ]),
  );
  const answer = await call(caller, '/data', {
    method: 'POST',
    headers: { 'content-type': FORM_TYPE },
    body,
  });
  await answer.text();
  return answer.status;
}

test('What is stored, and what had not to be stored twice, is shown', async (t) => {
  await using service = await openTestService();
  t.is((await readFigures(service.url)).get('morpheo_storage_dedupe_hits_total'), 0);
  await using other = await openTestService();
  t.is(await upload(other, id(1), 'the same bytes'), 201);
  t.is(await upload(other, id(2), 'the same bytes'), 201);
  t.is(await upload(other, id(3), 'others'), 201);
  await (await other.call('admin', `/data/${id(3)}/blob`)).text();
  const figures = await readFigures(other.url);
  t.is(figures.get('morpheo_storage_uploads_total'), 3);
  t.is(figures.get('morpheo_storage_uploaded_bytes_total'), 0, 'in whole MiB');
  t.is(figures.get('morpheo_storage_dedupe_hits_total'), 1);
  t.is(figures.get('morpheo_storage_dedupe_saved_bytes_total'), 0);
  t.is(figures.get('morpheo_storage_blobs'), 2);
  t.is(figures.get('morpheo_storage_blob_bytes'), 2 ** 20, 'in MiB, rounded up');
  t.is(figures.get('morpheo_storage_resources{type="data"}'), 3);
  t.is(figures.get('morpheo_storage_resource_bytes{type="data"}'), 2 ** 20);
  t.is(figures.get('morpheo_storage_staged_results'), 0);
  t.is(figures.get('morpheo_dependency_up{service="storage-api",dependency="blobs"}'), 1);
  t.true((figures.get('http_sent_bytes_total{route="getDataBlob"}') ?? 0) > 6);
});

test('Whether bytes are those of another is told by no figure: 20 binary targets that are guessed stay hidden', async (t) => {
  const targets = Array.from({ length: 20 }, (_, n) => (n * 7) % 3 === 0);
  const figuresAfter = async (guessOf: (target: boolean) => boolean) => {
    await using service = await openTestService();
    for (const [n, target] of targets.entries())
      t.is(await upload(service, id(100 + n), `target ${n}: ${Number(target)}`), 201);
    for (const [n, target] of targets.entries())
      t.is(await upload(service, id(200 + n), `target ${n}: ${Number(guessOf(target))}`, 'other'), 201);
    return [...(await readFigures(service.url))].filter(([name]) => name.startsWith('morpheo_storage_'));
  };
  const right = await figuresAfter((target) => target);
  t.true(right.length > 10);
  t.deepEqual(right, await figuresAfter((target) => !target));
});

test('Resumable uploads that have not come to their end are counted, with what they have announced', async (t) => {
  await using service = await openTestService();
  const tus = as(service, 'uploader');
  for (const n of [1, 2]) t.is((await tus.create(1000 * n, { type: 'data', uuid: id(n) })).status, 201);
  const figures = await readFigures(service.url);
  t.is(figures.get('morpheo_storage_open_uploads'), 2);
  t.is(figures.get('morpheo_storage_open_upload_bytes'), 2 ** 20, 'in MiB, rounded up');
});

test('What the sweep removes is counted', async (t) => {
  await using service = await openTestService({ settings: { orphanGraceMs: 1 } });
  const left = join(service.folder, 'staging', 'left-by-a-dead-writer');
  await writeFile(left, 'half');
  await utimes(left, 1, 1);
  await service.sweep();
  const figures = await readFigures(service.url);
  t.is(figures.get('morpheo_storage_swept_files_total{what="half_written"}'), 1);
  t.is(figures.get('morpheo_storage_swept_files_total{what="orphan"}'), 0);
});

test('Of as many owners as are asked for, the bytes are told by name', async (t) => {
  await using quiet = await openTestService();
  await upload(quiet, id(1), 'who?');
  const names = async ({ url }: TestService) =>
    [...(await readFigures(url))].filter(([name]) => name.startsWith('morpheo_storage_owner_bytes'));
  t.deepEqual(await names(quiet), []);
  await using service = await openTestService({ settings: { ownerMetrics: 1 } });
  await upload(service, id(1), 'of the uploader');
  const body = 'less';
  const headers = { 'content-type': 'application/octet-stream' };
  t.is(
    (await service.call('admin', `/problem?uuid=${id(2)}`, { method: 'POST', body, headers })).status,
    201,
  );
  t.deepEqual(await names(service), [['morpheo_storage_owner_bytes{owner="uploader"}', 2 ** 20]]);
});
