import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { PlatformError } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { silentLog } from '@morpheo/service/log';
import { parseShepherdFile } from '@morpheo/service/shepherd';
import type { Models } from '../models/models.ts';
import { openShepherdService, type ShepherdServiceOptions } from '../service.ts';
import { openFolderStore } from '../store/folder.ts';
import type { JobStore } from '../store/store.ts';
import { FakePlatform } from './fake-platform.ts';

/** The sheep of tests, of whom the second has a GPU, and the third is a program of its own. */
export const SHEEP = parseShepherdFile(
  `data_root: /data
registry: {url: 'http://registry.example:5000'}
sheep:
  cpu_sheep_1: {type: docker, port: 9001}
  gpu_sheep_1: {type: docker, port: 9002, devices: [/dev/nvidia0]}
  bare_sheep_1: {type: bare, port: 9003, working_directory: /srv/models}
`,
  'of the test',
  {},
).sheep;

const DIGEST = `sha256:${'12'.repeat(32)}`;

/** Models of a registry that has the model `ocr` in every version. */
export const MODELS: Models = {
  find: async ({ name, version }, sheep) => {
    if (sheep?.type === 'bare') return { sheep: { id: sheep.id, name: name ?? '', version: version ?? '' } };
    if (name !== 'ocr') throw new PlatformError('invalid_request', `Unknown model \`${name}\``);
    return { image: `registry.example:5000/ocr:${version}@${DIGEST}` };
  },
  nameOf: ({ job }) =>
    job?.sheep ?? { name: 'ocr', version: /:([^:@/]+)@/.exec(job?.image ?? '')?.[1] ?? null },
  nameOfImage: (image) => ({ name: 'ocr', version: /:([^:@/]+)@/.exec(image)?.[1] ?? null }),
};

/** A shepherd-api of a test, and what is around it. */
export interface TestShepherd extends AsyncDisposable {
  readonly url: string;
  readonly platform: FakePlatform;
  readonly store: JobStore;
  readonly folder: string;
  /** Sends a body to `/start-job`. */
  start(body: unknown): Promise<Response>;
  /** Asks for what lies below the path of a job, such as `status`. */
  ask(id: string, what: string): Promise<Response>;
  /** The text of a file of a bucket; undefined where it is not there. */
  file(id: string, name: string): Promise<string | undefined>;
}

/** Opens a shepherd-api over HTTP, before a platform in memory, with buckets that are folders. */
export async function openShepherd(
  options: Partial<ShepherdServiceOptions> & { readonly platform?: FakePlatform } = {},
): Promise<TestShepherd> {
  await using stack = new AsyncDisposableStack();
  const { platform = new FakePlatform(), ...rest } = options;
  const made = await mkdtemp(join(quickFolder(), 'shepherd-'));
  stack.defer(async () => await rm(made, { recursive: true }));
  const folder = rest.folder ?? made;
  const store = rest.store ?? stack.use(await openFolderStore(join(folder, 'buckets')));
  const service = stack.use(
    await openShepherdService({
      ...{ host: '127.0.0.1', port: 0, dialect: '0.5', protocol: 'zeromq', sheep: SHEEP, models: MODELS },
      ...{ store, folder, compute: platform.compute, storage: platform.storage },
      ...{ waitMs: 60_000, askMs: 60_000, version: '0', log: silentLog },
      ...rest,
    }),
  );
  const opened = stack.move();
  return {
    ...{ url: service.url, platform, store, folder },
    start: async (body) => await post(`${service.url}/start-job`, JSON.stringify(body)),
    ask: async (id, what) => await fetch(`${service.url}/jobs/${id}/${what}`),
    async file(id, name) {
      const file = await store.read(id, name);
      return file && (await text(file.body));
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** Posts JSON. */
export async function post(
  url: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
}

/** A job that a test starts; each has an id of its own. */
export function newJob(members: object = {}): { readonly job_id: string } & Record<string, unknown> {
  return {
    job_id: randomUUID(),
    model: { name: 'ocr', version: '1.0.42' },
    payload: '{"input":"42"}',
    ...members,
  };
}
