import { RESOURCE_TYPES, TUS_CHUNK_TYPE, TUS_VERSION } from '@morpheo/common';
import { rawTar } from '@morpheo/service/archive/testing';
import { recordQueries } from '@morpheo/service/database/testing';
import { createMetrics } from '@morpheo/service/metrics';
import { reconcile } from '../maintenance/verify.ts';
import { watchStorage } from '../metrics.ts';
import { readUsage } from '../quotas/usage.ts';
import { encoded } from '../resumable/testing.ts';
import { createStorage } from '../storage.ts';
import { textOf } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { ANN, attemptOf, learnRequest, NAMED, pinned, predictRequest, uploadNamed } from '../testing/pins.ts';
import { bodyOf, formOf, id } from '../testing/requests.ts';

/** The tables that grow with every thing or order, and the names that queries give them. */
const GROWS = [
  ...['blobs', 'resources', 'staged', 'uploads', 'grants', 'former_ids', 'checkpoints', 'output_pages'],
  ...['pins', 'pin_sets', 'pin_members', 'pinned', 'reserved_ids'],
  ...['r', 'm', 's', 'c', 'g', 'p', 'pg', 'own', 'held', 'kept'],
];

/** What may be read through, and why. */
const READ_THROUGH: readonly RegExp[] = [
  // Where things are few, all that is stored, and of whom: from an index alone. Of many, a slice at a time.
  /^SCAN resources USING (COVERING )?INDEX resources_(by_\w+|of_owner): select owner, type as kind, count/,
  /^SCAN resources USING (COVERING )?INDEX resources_by_\w+: select owner, type, sum\(n\) as things, .* where 1 = 1 group by/,
  // Whether they are few.
  /^SCAN resources USING (COVERING )?INDEX \w+: .*select "uuid" from "resources" where 1 = 1 limit (\?|\$1)/,
  // What is not published yet, and what has not come to its end: as much as is under way.
  /^SCAN (staged|s|c|checkpoints|uploads) USING (COVERING )?INDEX ((staged|checkpoints)_by_\w+|uploads_by_creator): /,
  // What was just read by one of these.
  /^SCAN (held|own|kept): /,
  // The blobs that are damaged: an index of these alone.
  /^SCAN blobs USING (COVERING )?INDEX blobs_damaged: /,
  // All blobs are compared with all that the store lists, where an operator asks for it.
  /^SCAN blobs: select "sha256", "size" from "blobs"$/,
  // The people are few.
  /^SCAN p USING INDEX sqlite_autoindex_people_1: select .* from "people" as "p" /,
];

const ADMIN = { principal: { name: 'root', roles: ['admin' as const] } };

testOnEngines('No query of storage-api looks through a table that grows', async (t, open) => {
  await using storage = await open();
  const recorded = recordQueries(storage.database);
  const metrics = createMetrics();
  const settings = { orphanGraceMs: 0, stagedMaxAgeMs: 1, quota: 1e9 };
  const watched = createStorage({
    ...{ database: recorded.database, blobs: storage.blobs, log: storage.log, settings },
    uploadsFolder: `${storage.folder}/uploads`,
  });
  const all: TestStorage = { ...storage, ...watched, database: recorded.database };
  await storeAndRead(all);
  await runOrders(t, all);
  await runJob(t, all);
  await sharePeople(all);
  await sendInParts(all);
  await keepHouse(all);
  for (const principal of [ANN.principal, ADMIN.principal])
    await readUsage(recorded.database, principal, () => undefined, 0);
  watchStorage(metrics, recorded.database, 3);
  await metrics.expose();
  const { queries, scans } = await recorded.scansOf(GROWS);
  t.true(queries > 90, String(queries));
  t.deepEqual(
    scans.filter((scan) => !READ_THROUGH.some((one) => one.test(scan))),
    [],
  );
});

async function storeAndRead(storage: TestStorage): Promise<void> {
  const { api } = storage;
  await uploadNamed(storage);
  const query = { algo: NAMED.algo, uuid: NAMED.model };
  await api.uploadModel({ query, body: bodyOf('model') }, ANN);
  const form = formOf(['name', 'another'], ['size', '5'], ['blob', 'other']);
  await api.patchProblem({ params: { uuid: NAMED.problem }, body: form }, ANN);
  for (const call of [ANN, ADMIN]) {
    for (const type of RESOURCE_TYPES) {
      const { next } = await api.list({ params: { type }, query: { limit: 1 } }, call);
      await api.list({ params: { type }, query: { page: 1 } }, call);
      if (next !== undefined) await api.list({ params: { type }, query: { cursor: next } }, call);
    }
    await api.list({ params: { type: 'model' }, query: { algo: NAMED.algo } }, call);
    await api.usage({}, call);
    await api.get({ params: { type: 'algo', uuid: NAMED.algo } }, call);
  }
  await api.headBlob({ params: { type: 'algo', uuid: NAMED.algo }, headers: {} }, ANN);
}

async function runOrders(t: Parameters<typeof pinned>[0], storage: TestStorage): Promise<void> {
  const { api } = storage;
  for (const request of [learnRequest(1), learnRequest(2), predictRequest(3)]) {
    const answer = await pinned(t, storage, request);
    const { order, produces } = answer;
    const { uuid } = produces;
    const type = produces.type === 'model' ? 'model' : 'prediction';
    const call = attemptOf(answer);
    const params = { order, attempt: 1 };
    await textOf(await api.getBlob({ params: { type: 'problem', uuid: NAMED.problem }, headers: {} }, call));
    for (const bytes of ['one', 'two'])
      await api.stageResult({ params, query: { type, uuid }, body: bodyOf(bytes) }, call);
    if (order === learnRequest(2).order) await api.discardResults({ params: { order }, query: { round: 1 } });
    else {
      await api.publishResult({ params, query: {} });
      await api.removeResult({ params: { order }, query: {} });
    }
  }
  await api.remove({ params: { type: 'model', uuid: NAMED.model } }, ANN);
  await api.remove({ params: { type: 'algo', uuid: NAMED.algo } }, ANN);
}

async function runJob(t: Parameters<typeof pinned>[0], storage: TestStorage): Promise<void> {
  const { api } = storage;
  const uuid = id(3000);
  const produces = { type: 'output', uuid } as const;
  const job = await pinned(t, storage, learnRequest(4, { kind: 'job', uses: [], produces }));
  const params = { order: job.order, attempt: 1 };
  const call = attemptOf(job);
  await api.putCheckpoint({ params, body: bodyOf('state') }, call);
  await textOf(await api.getCheckpoint({ params }, call));
  await api.pinnedInputs({ params }, call);
  await api.usage({}, ANN);
  await api.stageResult({ params, query: produces, body: bodyOf(rawTar([{ name: 'file' }])) }, call);
  await api.publishResult({ params, query: {} });
  await api.listOutputFiles({ params: { uuid }, query: {} }, ANN);
  await textOf(await api.getOutputFile({ params: { uuid }, query: { path: 'file' }, headers: {} }, ANN));
  await api.removeResult({ params: { order: job.order }, query: {} });
}

async function sharePeople({ api }: TestStorage): Promise<void> {
  const bob = { params: { name: 'bob' } };
  const group = { params: { name: 'vision' } };
  await api.putPerson({ ...bob, body: { roles: ['reader'] } }, ADMIN);
  await api.makeToken({ ...bob, body: {} }, ADMIN);
  await api.putGroup(group, ADMIN);
  await api.addMember({ params: { name: 'vision', person: 'bob' } }, ADMIN);
  const place = { params: { type: 'data' as const, uuid: NAMED.train } };
  const grant = ['group:vision', `problem:${NAMED.problem}`];
  await api.setPermissions({ ...place, body: { grant } }, ANN);
  await api.getPermissions(place, ANN);
  await api.list({ params: { type: 'data' }, query: {} }, { principal: { name: 'bob', roles: ['reader'] } });
  await api.setPermissions({ ...place, body: { revoke: grant } }, ANN);
  await api.removeGroup(group, ADMIN);
  await api.removePerson(bob, ADMIN);
}

async function sendInParts({ api }: TestStorage): Promise<void> {
  const version = { 'tus-resumable': TUS_VERSION };
  for (const [n, whole] of ['kept', 'left'].entries()) {
    const told = encoded({ type: 'data', uuid: id(500 + n) });
    const headers = { ...version, 'upload-length': whole.length, 'upload-metadata': told };
    const { headers: answer } = await api.createUpload({ headers }, ANN);
    const params = { upload: answer.location?.split('/').at(-1) ?? '' };
    await api.headUpload({ params, headers: version }, ANN);
    const body = bodyOf(whole, { contentType: TUS_CHUNK_TYPE });
    if (n === 0) await api.patchUpload({ params, headers: { ...version, 'upload-offset': 0 }, body }, ANN);
    else await api.deleteUpload({ params, headers: version }, ANN);
  }
}

async function keepHouse(storage: TestStorage): Promise<void> {
  await storage.collect({ dryRun: true });
  await storage.sweep();
  await storage.scrub();
  await reconcile(storage.database, storage.blobs);
}
