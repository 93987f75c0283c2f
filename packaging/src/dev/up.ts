import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '@morpheo/standalone';
import { ROOT } from '../executables/programs.ts';
import { type Compose, composeVariables, findCompose } from './compose.ts';
import { makeFolder, type Owner, tellConnection } from './folder.ts';
import { refuseTakenPorts } from './ports.ts';
import { ask, run, succeeds } from './run.ts';
import type { DevSettings } from './settings.ts';

/** The user of the images, where root calls this; else it is the caller, who can read the sources and the folder. */
const IMAGE_USER = 65_532;
const PATIENCE_MS = 180_000;
const LOOK_EVERY_MS = 500;
/** What the algorithms of the examples are built on: the daemon that builds them reaches no registry. */
const BASES = ['node:24-slim'];

/** Makes what the platform needs: secrets, and the images of its parts. Returns Compose for it, and who the caller is. */
export async function prepare(settings: DevSettings): Promise<{ compose: Compose; connection: Connection }> {
  const owner = ownerOfServices();
  const compose = await composeOf(settings, owner);
  const secrets = await makeFolder(settings.folder, owner);
  say('Images of the parts (made here where no registry has them: minutes, once) ...');
  await run(join(ROOT, 'packaging/parts/ensure'), []);
  for (const base of BASES) await run(join(ROOT, 'utils/base-images/ensure'), [base]);
  const at = (port: number) => `http://127.0.0.1:${port}`;
  const { storage, compute, orchestrator } = settings.ports;
  const credentials = { name: 'admin', secret: secrets.admin };
  const connection = {
    storage: at(storage),
    compute: at(compute),
    orchestrator: at(orchestrator),
    credentials,
  };
  return { compose, connection };
}

/**
 * Starts the platform in the background, and resolves when all of it is well; says where it is. Throws before anything
 * is started where its ports are taken; where it cannot be started, nothing of it is left running.
 */
export async function up(settings: DevSettings): Promise<void> {
  const before = await containersOf(settings.project);
  // What runs already has its ports itself; Compose changes what of it has to be changed.
  if (before === '') await refuseTakenPorts(settings.ports);
  const { compose, connection } = await prepare(settings);
  try {
    await compose.run('up', '--detach', '--remove-orphans');
  } catch (error) {
    if (before === '') await compose.run('down', '--remove-orphans', '--timeout', '10');
    throw error;
  }
  await allWell(settings.project);
  for (const base of BASES) await handIn(await compose.container('dind'), base);
  await tellConnection(settings.folder, connection);
  tellWhere(settings, connection);
}

/** Stops the platform and removes its containers, its volumes and its networks; the caller removes its folder. */
export async function down(settings: DevSettings): Promise<void> {
  const compose = await composeOf(settings, ownerOfServices());
  await compose.run('down', '--volumes', '--remove-orphans', '--timeout', '10');
}

/** Shows what the services say, from the last lines on, until it is interrupted. */
export async function logs(settings: DevSettings): Promise<void> {
  const compose = await composeOf(settings, ownerOfServices());
  await compose.run('logs', '--follow', '--tail', '20');
}

/** The ids of the running containers of a project, a line each; empty where none run. */
async function containersOf(project: string): Promise<string> {
  await requireDocker();
  return await ask('docker', ['ps', '--quiet', '--filter', `label=com.docker.compose.project=${project}`]);
}

async function requireDocker(): Promise<void> {
  if (await succeeds('docker', ['version'])) return;
  throw new Error(
    'The Docker daemon does not answer: start it (`make real-parts` does), or set DOCKER_HOST.',
  );
}

async function composeOf(settings: DevSettings, owner: Owner): Promise<Compose> {
  await requireDocker();
  const dind =
    settings.work === 'up' || settings.work === 'prepare'
      ? await ask(join(ROOT, 'utils/dind-daemon/build'), ['--present'])
      : 'none';
  return await findCompose(composeVariables(settings, owner, dind));
}

function ownerOfServices(): Owner {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  return uid === 0 ? { uid: IMAGE_USER, gid: IMAGE_USER } : { uid, gid };
}

/** Resolves when every container of the project is well. Throws, with the end of its log, for one that is not. */
async function allWell(project: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const listed = await ask('docker', [
      ...['ps', '--all', '--filter', `label=com.docker.compose.project=${project}`],
      ...['--format', '{{.Names}}\t{{.Status}}'],
    ]);
    const states = listed.split('\n').map((line) => line.split('\t'));
    const unwell = states.find(([, status = '']) => /unhealthy|^Exited|^Restarting|^Dead/.test(status));
    const waiting = states
      .filter(([, status = '']) => /starting|^Created/.test(status))
      .map(([name]) => name);
    if (unwell === undefined && waiting.length === 0) return;
    if (unwell !== undefined || Date.now() > deadline) {
      const [name = '', status = 'is not well yet'] = unwell ?? [waiting[0]];
      await run('docker', ['logs', '--tail', '20', name]);
      throw new Error(`${name}: ${status}. The end of its log stands above.`);
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** Gives an image of this machine to the daemon that builds algorithms, where it does not have it. */
async function handIn(dind: string, image: string): Promise<void> {
  const inside = ['exec', '--interactive', dind, 'docker', '--host', 'unix:///dind/docker.sock'];
  if (await succeeds('docker', [...inside, 'image', 'inspect', image])) return;
  say(`Handing ${image} in to the daemon that runs the algorithms ...`);
  const pipe = `docker save "$1" | docker ${inside.join(' ')} load --quiet`;
  await ask('bash', ['-o', 'pipefail', '-c', pipe, 'bash', image]);
}

function tellWhere({ folder, sources, images, ports }: DevSettings, connection: Connection): void {
  const home = folder.startsWith(ROOT) ? folder.slice(ROOT.length) : folder;
  say(`
The platform runs${images ? '' : `, and follows ${sources}: a change is live in seconds`}.
  storage-api   ${connection.storage}/docs
  compute-api   ${connection.compute}/docs
  orchestrator  ${connection.orchestrator}/docs   (a stand-in)
  shepherd      http://127.0.0.1:${ports.shepherd}/ui
  registry      127.0.0.1:${ports.registry}                for docker push, of images that jobs run
  nsqadmin      http://127.0.0.1:${ports.nsqadmin}

  npx morpheo --home ${home} status
  make demo-dev     the demonstration on it
  make dev-logs     what the services say
  make dev-down     stop it, and remove all that it kept`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
