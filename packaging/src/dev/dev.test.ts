import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, mkdtempDisposable, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import { freePort, removeOrphanProjects, testProject, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import type { Connection } from '@morpheo/standalone';
import { runScenario } from '@morpheo/standalone/scenarios';
import ava from 'ava';
import { z } from 'zod';
import { ROOT } from '../executables/programs.ts';

const run = promisify(execFile);
const test = withParts(ava, 'docker', 'compose');
const MAIN = join(ROOT, 'packaging/src/dev/main.ts');

test.serial(
  'The platform follows its sources, does an order, takes a large upload, and is gone without a trace',
  async (t) => {
    t.timeout(600_000);
    await using dev = await openDev();
    await dev.call('up');
    const connection = await dev.connection();
    t.is((await stat(join(dev.folder, 'connection.json'))).mode & 0o777, 0o600);
    t.is(await orderOn(connection), 'done');
    // Large enough to be sent in pieces, which wait on the disk of storage-api for their rest.
    t.is(await uploadWith(dev.folder, connection, 9 * 2 ** 20), 9 * 2 ** 20);
    for (const url of [connection.storage, connection.compute])
      await eventually(t, async (t) => t.is((await fetch(`${url}/ready`)).status, 200, url));

    const source = join(dev.sources, 'apps/storage-api/src/start.ts');
    const version = async () => {
      const { info } = await (await fetch(`${connection.storage}/openapi.json`)).json();
      return (info as { version: string }).version;
    };
    const text = await readFile(source, 'utf8');
    // A file is written over, or replaced by another of its name, as editors and git do.
    for (const how of ['written', 'replaced', 'replaced-again', 'made-anew', 'written-again']) {
      const changed = text.replace('version: VERSION', `version: '0.1.1-${how}'`);
      const saved = performance.now();
      if (how === 'made-anew') await rm(source);
      const place = how.startsWith('replaced') ? `${source}.new` : source;
      await writeFile(place, changed);
      await rename(place, source);
      await eventually(t, async (t) => t.is(await version(), `0.1.1-${how}`));
      t.log(`${how}: live after ${((performance.now() - saved) / 1000).toFixed(1)} s`);
    }

    await dev.call('down');
    t.is(await dev.remains(), '');
    await t.throwsAsync(stat(dev.folder), { code: 'ENOENT' });
  },
);

test.serial('The images of the services make the same platform', async (t) => {
  t.timeout(600_000);
  await run(
    'make',
    ['storage-api', 'compute-api', 'compute-worker', 'shepherd'].map((name) => `${name}-docker`),
    {
      cwd: ROOT,
    },
  );
  await using dev = await openDev('--images');
  await dev.call('up');
  t.is(await orderOn(await dev.connection()), 'done');
  for (const service of ['storage-api', 'compute-api', 'worker', 'shepherd']) {
    const container = await dev.container(service);
    const { stdout } = await run('docker', ['exec', container, 'id', '--user']);
    t.is(stdout.trim(), '65532', service);
    await t.throwsAsync(run('docker', ['exec', container, 'touch', '/here']), undefined, service);
  }
});

test.serial('A port that another program has is told at once, and nothing is started', async (t) => {
  await using place = await mkdtempDisposable(join(tmpdir(), 'morpheo-dev-'));
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const project = testProject('ports');
  const folder = join(place.path, 'folder');
  const argv = ['up', '--project', project, '--folder', folder, '--storage-port', String(port)];
  for (const name of ['compute', 'orchestrator', 'nsqadmin', 'shepherd', 'registry'])
    argv.push(`--${name}-port`, String(await freePort()));
  const refused = await t.throwsAsync(run(process.execPath, [MAIN, ...argv]));
  t.regex(String(refused), new RegExp(`Port ${port}, of storage-api, is taken by another program`));
  t.regex(String(refused), /Nothing was started\..*\n {2}node .* up --storage-port N/);
  await t.throwsAsync(stat(folder), { code: 'ENOENT' });
  const label = `label=com.docker.compose.project=${project}`;
  t.is((await run('docker', ['ps', '--all', '--quiet', '--filter', label])).stdout, '');
});

ava('What is asked for and does not fit is refused with the usage', async (t) => {
  const refused = await t.throwsAsync(run(process.execPath, [MAIN, 'sideways']));
  t.regex(String(refused), /Usage: main\.ts up\|logs\|down\|prepare/);
  await t.throwsAsync(run(process.execPath, [MAIN, 'up', '--compute-port', 'x']), {
    message: /x is no port/,
  });
});

/** A platform in containers on free ports, from a copy of the sources; disposing removes all of it. */
async function openDev(...further: string[]) {
  const place = await mkdtemp(join(tmpdir(), 'morpheo-dev-'));
  const sources = join(place, 'sources');
  for (const name of ['apps', 'libs']) {
    // The executables are of no use there, and large.
    const filter = (path: string) => !path.includes('/target');
    await cp(join(ROOT, name), join(sources, name), { recursive: true, verbatimSymlinks: true, filter });
  }
  await run('chmod', ['-R', 'a+rX', place]);
  const folder = join(place, 'folder');
  await removeOrphanProjects();
  const project = testProject(String(further.length));
  const settings = ['--folder', folder, '--sources', sources, '--project', project, ...further];
  for (const name of ['compute', 'storage', 'orchestrator', 'nsqadmin', 'shepherd', 'registry']) {
    settings.push(`--${name}-port`, String(await freePort()));
  }
  const call = async (work: 'up' | 'down') => {
    await run(process.execPath, [MAIN, work, ...settings], { maxBuffer: 2 ** 24 });
  };
  const label = `label=com.docker.compose.project=${project}`;
  const list = async (...args: string[]) =>
    (await run('docker', [...args, '--quiet', '--filter', label])).stdout;
  return {
    folder,
    sources,
    call,
    connection: async () => JSON.parse(await readFile(join(folder, 'connection.json'), 'utf8')) as Connection,
    container: async (service: string) => {
      const name = `label=com.docker.compose.service=${service}`;
      return (await list('ps', '--filter', name)).trim();
    },
    /** What of it is still there. */
    remains: async () =>
      (await list('ps', '--all')) + (await list('volume', 'ls')) + (await list('network', 'ls')),
    async [Symbol.asyncDispose]() {
      await call('down');
      await rm(place, { recursive: true, force: true });
    },
  };
}

/** Uploads so many bytes as a data set with the command line tool, and returns how many storage-api has of it. */
async function uploadWith(
  home: string,
  { storage: url, credentials }: Connection,
  bytes: number,
): Promise<number | undefined> {
  await using place = await mkdtempDisposable(join(tmpdir(), 'morpheo-dev-'));
  const file = join(place.path, 'data');
  await writeFile(file, Buffer.alloc(bytes, 'x'));
  const cli = [join(ROOT, 'apps/cli/src/main.ts'), '--home', home];
  const { stdout } = await run(process.execPath, [...cli, 'upload', 'data', file, '--json']);
  const { items } = z.object({ items: z.tuple([z.object({ uuid: z.string() })]) }).parse(JSON.parse(stdout));
  const found = await storageClient({ url, credentials }).get({
    params: { type: 'data', uuid: items[0].uuid },
  });
  return found.size;
}

/** Uploads a small problem and an algorithm, has it trained, and returns what became of the order. */
async function orderOn({ storage, compute, credentials }: Connection): Promise<string | undefined> {
  const apis = {
    storage: storageClient({ url: storage, credentials }),
    compute: computeClient({ url: compute, credentials }),
  };
  const steps = [{ learn: 'first', algo: 'algo-parity' }];
  const orders = await runScenario({ title: '', problem: 'problem-parity', steps, expect: {} }, apis);
  return orders.get('first')?.status;
}
