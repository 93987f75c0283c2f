import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DindOptions } from './options.ts';
import { createContainer, dindImage, fakes } from './outer.ts';
import { LABELS, self } from './owner.ts';

/** A container that was created and not started, and what goes when it goes. */
export interface Created {
  readonly container: string;
  readonly image: string;
  /** Where the socket, the certificates and usually the jobs are on the host. */
  readonly folder: string;
  readonly jobs: string;
  /** The daemon's folder: one that stays for the next test, or one that goes with this. */
  readonly lib: string;
  readonly isPooled: boolean;
  readonly network?: string;
}

const MOST_AT_ONCE = 64;

/** Creates the container of a test's daemon, in a folder of its own. */
export async function create(options: DindOptions): Promise<Created> {
  const image = options.image ?? (await dindImage());
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-dind-'));
  try {
    await Promise.all(['run', 'certs', 'jobs'].map((name) => mkdir(join(folder, name))));
    return await claim(options, image, folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Takes the first name that is free: Docker gives a name to one container only, also among several processes. */
async function claim(options: DindOptions, image: string, folder: string): Promise<Created> {
  const jobs = options.jobsFolder ?? join(folder, 'jobs');
  const isSwarm = options.swarm === true;
  const network = options.tls === true || isSwarm ? basename(folder) : undefined;
  // What a Swarm keeps stays in the daemon's folder.
  const isPooled = options.storageBytes === undefined && !isSwarm;
  const folders = ['--jobs', jobs, '--socket', join(folder, 'run'), ...tls(folder, network)];
  const args = ['--image', image, ...folders, ...(await limits(options))];
  for (let slot = 0; slot < MOST_AT_ONCE; slot += 1) {
    const container = isPooled ? `morpheo-dind-${slot}` : basename(folder);
    const lib = `${container}-lib`;
    const made = await createContainer(
      ['--name', container, '--lib', lib, ...args],
      labels(folder, isPooled ? '' : lib, network),
      further(options),
    );
    if (made !== undefined) {
      return { container, image, folder, jobs, lib, isPooled, ...(network !== undefined && { network }) };
    }
  }
  throw new Error(`${MOST_AT_ONCE} daemons of tests are there already: see \`docker ps\`.`);
}

async function limits(options: DindOptions): Promise<string[]> {
  const args = ['--memory', String(options.memory ?? 4 * 1024 ** 3), '--cpus', String(options.cpus ?? 2)];
  const gid = process.getgid?.() ?? 0;
  if (gid !== 0) args.push('--gid', String(gid));
  if (options.storageBytes !== undefined) {
    args.push('--storage', String(options.storageBytes), '--loop', await freeLoopDevice());
  }
  return args;
}

function tls(folder: string, network: string | undefined): string[] {
  return network === undefined ? [] : ['--tls', network, '--certs', join(folder, 'certs')];
}

function labels(folder: string, volumes: string, network = ''): Record<string, string> {
  return {
    [LABELS.owner]: self(),
    [LABELS.folder]: folder,
    [LABELS.volumes]: volumes,
    [LABELS.network]: network,
  };
}

/** Options for `docker create` that only tests need. */
function further(options: DindOptions): string[] {
  const args = options.name === undefined ? [] : ['--hostname', options.name];
  const flags = [
    ...(options.keepsContainers === true ? ['--live-restore'] : []),
    ...(options.gpus === 'fake' ? ['--add-runtime=nvidia=/usr/sbin/runc'] : []),
    ...(options.swarm === true ? ['--bridge='] : []),
  ];
  // Health checks run as users of their own, whose namespaces only this opens.
  if (options.swarm === true) args.push('--cap-add', 'SYS_PTRACE');
  if (flags.length > 0) args.push('--env', `DIND_ARGS=${flags.join(' ')}`);
  if (options.gpus !== 'fake') return args;
  const hook = 'nvidia-container-runtime-hook';
  return [
    ...args,
    ...['--volume', `${fakes}${hook}:/usr/local/bin/${hook}:ro`],
    ...['--volume', `${fakes}nvidia-smi:/usr/local/lib/fake-nvidia-smi:ro`],
    ...['--env', `FAKE_GPU_COUNT=${options.gpuCount ?? 2}`],
  ];
}

/** A loop device of this machine that holds no file; one at random, so that tests at once rarely want the same. */
async function freeLoopDevice(): Promise<string> {
  const names = (await readdir('/sys/block')).filter((name) => /^loop\d+$/.test(name));
  const free: string[] = [];
  for (const name of names) {
    // The kernel shows this folder while a file is attached.
    const isFree = await stat(`/sys/block/${name}/loop`).then(
      () => false,
      () => true,
    );
    if (isFree) free.push(name);
  }
  const chosen = free[Math.floor(Math.random() * free.length)];
  if (chosen === undefined) throw new Error('Every loop device of this machine is in use: see `losetup -l`.');
  return `/dev/${chosen}`;
}
