import { randomBytes, randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import test from 'ava';
import { FORM_TYPE, formBytes, sha256, sorted } from '../testing/requests.ts';
import { type ServiceProcess, spawnService } from '../testing/spawn-service.ts';

const ROUNDS = 6;
const UPLOADERS = 6;

/** What was sent, by id, and the ids of what the service said it has. */
interface Sent {
  readonly digests: Map<string, string>;
  readonly acknowledged: Set<string>;
  /** Tells `acknowledged` after each. */
  readonly news: EventEmitter;
}

/** Uploads one thing after the other until the service is gone. */
async function keepUploading({ url }: ServiceProcess, sent: Sent): Promise<void> {
  for (;;) {
    const uuid = randomUUID();
    const blob = randomBytes(1 + Math.floor(Math.random() * 400_000));
    sent.digests.set(uuid, sha256(blob));
    try {
      const send = [sendForm, sendRaw, sendResult][sent.digests.size % 3] ?? sendForm;
      if (!(await send(url, uuid, blob))) continue;
      sent.acknowledged.add(uuid);
      sent.news.emit('acknowledged');
    } catch {
      return;
    }
  }
}

async function sendForm(url: string, uuid: string, blob: Buffer): Promise<boolean> {
  const body = new Uint8Array(
    formBytes([
      ['uuid', uuid],
      ['size', '1'],
      ['blob', blob],
    ]),
  );
  const answer = await fetch(`${url}/prediction`, {
    method: 'POST',
    body,
    headers: { 'content-type': FORM_TYPE },
  });
  await answer.text();
  return answer.status === 201;
}

async function sendRaw(url: string, uuid: string, blob: Buffer): Promise<boolean> {
  const answer = await fetch(`${url}/data?uuid=${uuid}`, { method: 'POST', body: new Uint8Array(blob) });
  await answer.text();
  return answer.status === 201;
}

async function sendResult(url: string, uuid: string, blob: Buffer): Promise<boolean> {
  const path = `${url}/v1/results/${uuid}/1`;
  const body = new Uint8Array(blob);
  const staged = await fetch(`${path}?type=prediction&uuid=${uuid}`, { method: 'PUT', body });
  await staged.text();
  const published = await fetch(`${path}/publish`, { method: 'POST' });
  await published.text();
  return published.status === 200;
}

/** The digests that the service tells, by id. */
async function listed({ url }: ServiceProcess): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const type of ['data', 'prediction']) {
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page = await fetch(`${url}/${type}?limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`);
      const { items, next } = (await page.json()) as {
        items: { uuid: string; sha256: string }[];
        next?: string;
      };
      for (const item of items) found.set(`${type}/${item.uuid}`, item.sha256);
      cursor = next;
    }
  }
  return found;
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.flatMap((entry) => (entry.isFile() ? entry.name : []));
}

test('a service that is killed at any moment keeps what it acknowledged, and nothing half', async (t) => {
  t.timeout(180_000);
  const folder = await mkdtemp(join(quickFolder(), 'storage-crash-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const sent: Sent = { digests: new Map(), acknowledged: new Set(), news: new EventEmitter() };
  for (let round = 0; round < ROUNDS; round++) {
    await using service = await spawnService(folder);
    const uploads = Array.from({ length: UPLOADERS }, () => keepUploading(service, sent));
    const enough = 20 * (round + 1) + Math.floor(Math.random() * 30);
    while (sent.acknowledged.size < enough) await once(sent.news, 'acknowledged');
    await service.kill();
    await Promise.all(uploads);
  }

  await using service = await spawnService(folder);
  t.deepEqual(await readdir(join(folder, 'staging')), []);
  const found = await listed(service);
  const uuids = new Set([...found.keys()].map((path) => path.split('/')[1]));
  t.deepEqual(
    [...sent.acknowledged].filter((uuid) => !uuids.has(uuid)),
    [],
  );
  for (const [path, digest] of found) {
    t.is(sent.digests.get(path.split('/')[1] ?? '') ?? 'was never sent', digest);
    const blob = Buffer.from(await (await fetch(`${service.url}/${path}/blob`)).arrayBuffer());
    t.is(sha256(blob), digest);
  }
  for (const uuid of sent.digests.keys())
    await fetch(`${service.url}/v1/results/${uuid}`, { method: 'DELETE' });
  await service.sweep();
  t.deepEqual(sorted(await filesIn(join(folder, 'blobs'))), sorted(found.values()));
  t.log(
    `${ROUNDS} kills, ${sent.digests.size} sent, ${sent.acknowledged.size} acknowledged, ${found.size} there`,
  );
});
