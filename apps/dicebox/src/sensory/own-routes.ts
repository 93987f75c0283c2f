import {
  type Call,
  type DICEBOX_SENSORY_V1,
  type Handlers,
  type PictureBatch,
  type PictureSet,
  PlatformError,
} from '@morpheo/common';
import type { BatchRow, PictureSetRow } from '../db/schema.ts';
import { storeLines } from './lines.ts';
import type { SensoryParts } from './parts.ts';
import type { Viewer } from './sets.ts';
import { shardsOf } from './snapshots.ts';

/** What answers the routes of our own for pictures. */
export function ownRoutes(parts: SensoryParts): Handlers<typeof DICEBOX_SENSORY_V1> {
  const { sets, snapshots, batches, samples, labelled } = parts;
  const { show, showBatch } = showing(parts);
  return {
    createPictureSet: async ({ body: { channels, ...key } }, call) =>
      await show(await sets.make(viewerOf(call).name, key, channels)),
    listPictureSets: async (_, call) => ({
      items: await Promise.all((await sets.list(viewerOf(call))).map(show)),
    }),
    getPictureSet: async ({ params }, call) => await show(await sets.get(params.set, viewerOf(call))),
    async storePictures({ params, body }, call) {
      const set = await sets.get(params.set, viewerOf(call));
      const items = await storeLines(parts.database, set, body.body, call?.signal);
      parts.wakePacking();
      return { items };
    },
    async takeSnapshot({ params }, call) {
      const set = await sets.get(params.set, viewerOf(call));
      const { pictures, categories } = await snapshots.takeAny(set);
      const shards = await snapshots.shards({ set, pictures });
      return { set: set.id, pictures, categories: [...categories], shards: [...shards] };
    },
    async getShard({ params }, call) {
      const set = await sets.get(params.set, viewerOf(call));
      const shards = await shardsOf(parts.database.read, set.id);
      const shard = shards.findLast(({ first }) => first === params.first);
      if (shard === undefined)
        throw new PlatformError(
          'not_found',
          `No shard of this set begins with its picture ${params.first}: take a snapshot.`,
        );
      const { body, headers } = await parts.storage.getDataBlob(
        { params: { uuid: shard.resource }, headers: {} },
        call,
      );
      const length = headers['content-length'];
      return {
        status: 200,
        headers: {
          'content-type': 'application/x-tar',
          ...(length !== undefined && { 'content-length': length }),
        },
        body,
      };
    },
    async createBatch({ body }, call) {
      const viewer = viewerOf(call);
      const { size, noise, seed } = body;
      const set = await sets.get(body.set, viewer);
      return await showBatch(await batches.order(viewer.name, set, { size, noise, seed }));
    },
    getBatch: async ({ params }, call) =>
      await showBatch(await batches.use(params.batch, viewerOf(call).name)),
    async getSample({ params }, call) {
      const batch = await batches.use(params.batch, viewerOf(call).name);
      if (params.sample >= batch.size)
        throw new PlatformError('not_found', `The batch has the samples 0 to ${batch.size - 1}.`);
      const { set, indexes } = await labelled.of(batch.set_id, batch.pictures);
      const { picture, category, pixels } = await samples.one(set, batch, params.sample);
      const { width, height, channels } = set;
      return {
        ...{ sample: params.sample, picture, category, index: indexes.get(category) ?? 0 },
        ...{ width, height, channels, pixels: Buffer.from(pixels).toString('base64') },
      };
    },
    async removeBatch({ params }, call) {
      await batches.remove(params.batch, viewerOf(call).name);
      return undefined;
    },
  };
}

function showing({ sets, labelled, batches }: SensoryParts) {
  const show = async (row: PictureSetRow): Promise<PictureSet> => {
    const { id, owner, name, width, height, channels, pictures } = row;
    const categories = await sets.categories(row);
    return {
      ...{ id, owner, name, width, height, channels, pictures },
      categories: categories.map((category, index) => ({ ...category, index })),
      created_at: new Date(row.created_at).toISOString(),
    };
  };
  const showBatch = async (row: BatchRow): Promise<PictureBatch> => {
    const { id, size, noise, seed, pictures } = row;
    const { categories } = await labelled.of(row.set_id, pictures);
    return {
      ...{ id, set: row.set_id, size, noise, seed, pictures, categories: [...categories], polled: row.next },
      created_at: new Date(row.created_at).toISOString(),
      expires_at: new Date(batches.expiryOf(row)).toISOString(),
    };
  };
  return { show, showBatch };
}

/** Who asks. */
export function viewerOf(call: Call | undefined): Viewer {
  const { name = '', roles = [] } = call?.principal ?? {};
  return { name, isAdmin: roles.includes('admin') };
}
