import { randomUUID } from 'node:crypto';
import { computeClient, storageClient, uploadForm } from '@morpheo/client';
import { type Claim, learnuplet, type ResourceType } from '@morpheo/common';
import { COMPUTE_DEFAULTS } from '@morpheo/compute-api';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openServicesWithRoles, type ServicesWithRoles } from '../testing/services-with-roles.ts';

function clientsAs({ services, credentialsOf }: ServicesWithRoles, role: string) {
  const credentials = credentialsOf(role);
  const [storage, compute] = services;
  return {
    storage: (ticket?: string) =>
      storageClient({ url: storage?.url ?? '', credentials, token: () => ticket }),
    compute: computeClient({ url: compute?.url ?? '', credentials }),
  };
}

function given(claim: Claim | null): Claim {
  if (claim === null) throw new Error('no order was claimed');
  return claim;
}

test('An old order goes from compute-api and its model from storage, by the role of compute-api alone', async (t) => {
  const retention = { ...COMPUTE_DEFAULTS.retention, ordersMs: 1, best: 0, removeOutputs: true };
  await using services = await openServicesWithRoles({ retention: { ...retention, everyMs: 50 } });
  const [admin, worker] = [clientsAs(services, 'admin'), clientsAs(services, 'worker')];
  const upload = async (type: Exclude<ResourceType, 'model' | 'output'>): Promise<string> => {
    const uuid = randomUUID();
    const blob = new Blob([uuid]);
    const described = type === 'problem' ? { description: type } : {};
    const names = type === 'data' ? {} : { name: type, ...described };
    const fields = { uuid, ...names, visibility: 'open', size: String(blob.size) };
    await admin.storage().upload({ params: { type }, query: {}, body: uploadForm({ fields, blob }) });
    return uuid;
  };
  const [workflow, algo, data] = [await upload('problem'), await upload('algo'), await upload('data')];
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow, algo, model_end: randomUUID() };
  const body = learnuplet.parse({ ...ids, train_data: [data], test_data: [data], rank: 0, status: 'todo' });
  await admin.compute.learn({ body });

  const boot = randomUUID();
  const params = { worker: randomUUID() };
  const slots = { learn: 1, predict: 0 };
  await worker.compute.registerWorker({ params, body: { boot, name: 'w', runtime: 'none', slots } });
  let claim: Claim | null = null;
  await eventually(t, async (t) => {
    const wanted = { boot, kinds: ['learn' as const], free_gpus: 0 };
    claim ??= (await worker.compute.claimOrder({ params, body: wanted })).claim;
    t.truthy(claim);
  });
  const { order, attempt, ticket } = given(claim);
  const staged = await worker.storage(ticket).stageResult({
    params: { order, attempt },
    query: { type: 'model', uuid: ids.model_end },
    body: { body: new Blob(['a model']).stream(), contentLength: 7 },
  });
  const performance = { perf: 0.5, train_perf: {}, test_perf: {} };
  const result = { uuid: ids.model_end, ...staged, performance };
  await worker.compute.reportAttempt({ params: { id: order, attempt }, body: { outcome: 'done', result } });

  await eventually(t, async (t) => {
    await t.throwsAsync(admin.compute.getOrder({ params: { id: ids.uuid } }), { message: /any more/ });
  });
  const model = { params: { type: 'model', uuid: ids.model_end } } as const;
  await t.throwsAsync(admin.storage().get(model), { code: 'not_found' });
  await t.notThrowsAsync(admin.storage().get({ params: { type: 'algo', uuid: algo } }));
});
