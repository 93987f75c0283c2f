import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import { freePort, removeOrphanProjects, testProject, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import type { Connection } from '@morpheo/standalone';
import { runScenario } from '@morpheo/standalone/scenarios';
import ava from 'ava';
import { ROOT } from '../executables/programs.ts';

const run = promisify(execFile);
const test = withParts(ava, 'docker', 'compose');
const MAIN = join(ROOT, 'packaging/src/dev/main.ts');

test.serial('The platform follows its sources, does an order, and is gone without a trace', async (t) => {
  t.timeout(600_000);
  await using dev = await openDev();
  await dev.call('up');
  const connection = await dev.connection();
  t.is((await stat(join(dev.folder, 'connection.json'))).mode & 0o777, 0o600);
  t.is(await orderOn(connection), 'done');

  const source = join(dev.sources, 'apps/storage-api/src/start.ts');
  const version = async () => {
    const { info } = await (await fetch(`${connection.storage}/openapi.json`)).json();
    return (info as { version: string }).version;
  };
  const text = await readFile(source, 'utf8');
  const saved = performance.now();
  await writeFile(source, text.replace('version: VERSION', "version: '0.1.1-changed'"));
  await eventually(t, async (t) => t.is(await version(), '0.1.1-changed'));
  t.log(`a change was live after ${((performance.now() - saved) / 1000).toFixed(1)} s`);

  await dev.call('down');
  t.is(await dev.remains(), '');
  await t.throwsAsync(stat(dev.folder), { code: 'ENOENT' });
});

test.serial('The images of the services make the same platform', async (t) => {
  t.timeout(600_000);
  await run('make', ['all-docker'], { cwd: ROOT });
  await using dev = await openDev('--images');
  await dev.call('up');
  t.is(await orderOn(await dev.connection()), 'done');
  for (const service of ['storage-api', 'compute-api', 'worker']) {
    const container = await dev.container(service);
    const { stdout } = await run('docker', ['exec', container, 'id', '--user']);
    t.is(stdout.trim(), '65532', service);
    await t.throwsAsync(run('docker', ['exec', container, 'touch', '/here']), undefined, service);
  }
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
  for (const name of ['compute', 'storage', 'orchestrator', 'nsqadmin']) {
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
