import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { uploadForm } from '@morpheo/client';
import { isPlatformError, learnuplet } from '@morpheo/common';
import type { Account, Apis } from './account.ts';
import { resumeAll, uploadUntilGone } from './resumable.ts';

/** Posts orders and uploads data, at once and in chunks, side by side until the platform is gone, and keeps what was acknowledged. */
export async function witness(apis: Apis, account: Account): Promise<void> {
  const uploader = async (): Promise<void> => {
    for (;;) {
      const uuid = randomUUID();
      const bytes = randomBytes(1 + Math.floor(Math.random() * 300_000));
      account.sent.set(uuid, sha256(bytes));
      const fields = { uuid, size: String(bytes.length) };
      const body = uploadForm({ fields, blob: new Blob([bytes]) });
      await apis.storage.upload({ params: { type: 'data' }, query: {}, body });
      account.stored.add(uuid);
    }
  };
  const resumable = () => uploadUntilGone(apis.storage, account);
  await Promise.allSettled([
    ...[postUntilGone(apis.compute, account), uploader(), uploader()],
    ...[resumable(), resumable()],
  ]);
}

/** Posts orders, two at once, until nobody answers. */
export async function postUntilGone(compute: Apis['compute'], account: Account): Promise<void> {
  const poster = async (): Promise<void> => {
    for (;;) {
      const body = anOrder();
      await compute.learn({ body });
      account.orders.add(body.uuid);
    }
  };
  await Promise.allSettled([poster(), poster()]);
}

/** The orders that were acknowledged and are not there, a sentence each. */
export async function lostOrders(compute: Apis['compute'], { orders }: Account): Promise<string[]> {
  const lost: string[] = [];
  for (const id of orders) {
    await compute.getOrder({ params: { id } }).catch(() => lost.push(`order ${id} was accepted and is lost`));
  }
  return lost;
}

/** Ends uploads that were cut; tells what was acknowledged and is not there, and what is wrong, a sentence each. */
export async function losses({ compute, storage }: Apis, account: Account): Promise<string[]> {
  const lost = [...(await lostOrders(compute, account)), ...(await resumeAll(storage, account))];
  for (const [uuid, digest] of account.sent) {
    const found = await digestOf(storage, uuid);
    if (found === undefined && account.stored.has(uuid)) lost.push(`data ${uuid} was stored and is lost`);
    if (found !== undefined && found !== digest) lost.push(`data ${uuid} is there with other bytes`);
  }
  return lost;
}

async function digestOf(storage: Apis['storage'], uuid: string): Promise<string | undefined> {
  try {
    const { body } = await storage.getDataBlob({ params: { uuid }, headers: {} });
    const hash = createHash('sha256');
    for await (const piece of body ?? []) hash.update(piece);
    return hash.digest('hex');
  } catch (error) {
    if (isPlatformError(error, 'not_found')) return undefined;
    throw error;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function anOrder() {
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), algo: randomUUID() };
  return learnuplet.parse({
    ...{ ...ids, model_end: randomUUID(), status: 'todo', rank: 0 },
    ...{ train_data: [randomUUID()], test_data: [randomUUID()] },
  });
}
