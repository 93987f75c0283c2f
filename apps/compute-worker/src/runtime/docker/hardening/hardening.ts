import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import { RUN_ENVIRONMENT, RUNNER_HOME, TMP } from '../../driver.ts';
import type { RunLimits } from '../../index.ts';
import type { DaemonFacts } from '../client/daemon.ts';
import profile from './seccomp-default.json' with { type: 'json' };

/** What the defaults depend on. */
export interface HardeningPlan {
  /** `uid:gid` of the container's processes. */
  readonly user: string;
  readonly memoryBytes: number;
  /** What may lie in `/dev/shm`; it counts as memory. */
  readonly sharedBytes: number;
  /** Of one file. */
  readonly fileBytes: number;
  /** How many processors it may keep busy; all where absent. */
  readonly cpus: number | undefined;
  /** Processors of the machine. */
  readonly machineCpus: number;
  readonly processes: number;
  /** Of its own file system, where the daemon can bound that. */
  readonly rootBytes: number | undefined;
  /** Variables that the image or the run sets: they win over those of the hardening. */
  readonly otherVariables: readonly string[];
  /** Paths that the image declares as volumes, and that no mount of the run stands at. */
  readonly imageVolumes: readonly string[];
}

/** A row of {@link HARDENING}. */
export interface HardeningRow {
  /** The settings of Docker that it sets. */
  readonly sets: readonly string[];
  readonly why: string;
  readonly container?: (plan: HardeningPlan) => ContainerCreateOptions;
  readonly host?: (plan: HardeningPlan) => HostConfig;
}

const MIB = 1024 ** 2;
/** How many processes and threads a container may have where nothing else is said. */
export const PROCESSES = 256;
/** A file may be so much larger than what may be written that the watch sees it is over, in bytes: a bound alone kills nothing. */
export const FILE_MARGIN = 64 * MIB;

/** How every container of a step is set up, whoever ordered it, and why. */
export const HARDENING: readonly HardeningRow[] = [
  {
    sets: ['NetworkMode', 'NetworkDisabled'],
    why: 'Code that sees the data must not be able to send it anywhere, nor reach the services of the platform.',
    container: () => ({ NetworkDisabled: true }),
    host: () => ({ NetworkMode: 'none' }),
  },
  {
    sets: ['User'],
    why: 'Root of a container is root of the machine to the kernel: one flaw less is needed to get out.',
    container: ({ user }) => ({ User: user }),
  },
  {
    sets: ['CapDrop'],
    why: 'Not one of the rights of root is needed to compute.',
    host: () => ({ CapDrop: ['ALL'] }),
  },
  {
    sets: ['SecurityOpt'],
    why: 'No setuid program of an image gives rights back, and the system calls are those of a list (see seccompProfile).',
    host: () => ({ SecurityOpt: securityOptions() }),
  },
  {
    sets: ['ReadonlyRootfs'],
    why: 'What a run writes goes to its mounts, which are watched, or to memory, which is bounded; the disk of the daemon is neither.',
    host: () => ({ ReadonlyRootfs: true }),
  },
  {
    sets: ['StorageOpt'],
    why: 'A second bound of the same, where the daemon has quotas.',
    host: ({ rootBytes }) => (rootBytes === undefined ? {} : { StorageOpt: { size: String(rootBytes) } }),
  },
  {
    sets: ['Tmpfs'],
    why: 'Programs want a place for temporary files: in memory, so that it counts as memory, and bounded in files as well.',
    host: ({ memoryBytes }) => ({
      Tmpfs: { [TMP]: `rw,noexec,nosuid,nodev,size=${tmpBytes(memoryBytes)},nr_inodes=16384,mode=1777` },
    }),
  },
  {
    sets: ['Mounts'],
    why: 'A VOLUME of an image would be a folder on the disk of the daemon that nobody bounds: it is memory instead.',
    host: (plan) => ({ Mounts: volumeMounts(plan) }),
  },
  {
    sets: ['Memory', 'MemorySwap'],
    why: 'Both the same: memory is bounded, and what is over it does not go to the swap of the machine.',
    host: ({ memoryBytes }) => ({ Memory: memoryBytes, MemorySwap: memoryBytes }),
  },
  {
    sets: ['NanoCpus'],
    why: 'Runs beside one another get what they were promised, also beside one that starts a thread for each processor.',
    host: ({ cpus, machineCpus }) =>
      cpus === undefined ? {} : { NanoCpus: Math.round(Math.min(cpus, machineCpus) * 1e9) },
  },
  {
    sets: ['PidsLimit'],
    why: 'A fork bomb ends here, and not with the machine.',
    host: ({ processes }) => ({ PidsLimit: processes }),
  },
  {
    sets: ['Ulimits'],
    why: 'Open files cost memory of the kernel; a core dump would be a way to fill the disk; no one file, nor a hole in it, grows beyond what a run may write.',
    host: (plan) => ({ Ulimits: ulimits(plan) }),
  },
  {
    sets: ['Init'],
    why: 'The first process of a container has to bury the dead: programs do not, and the dead count as processes.',
    host: () => ({ Init: true }),
  },
  {
    sets: ['IpcMode', 'ShmSize'],
    why: 'Shared memory of its own, which counts as its memory: libraries that load data in several processes need more than the 64 MiB of Docker, and die by SIGBUS without.',
    host: ({ sharedBytes }) => ({ IpcMode: 'private', ShmSize: sharedBytes }),
  },
  {
    sets: ['OomScoreAdj'],
    why: 'Should the machine itself run out of memory, a step is to be killed before a service.',
    host: () => ({ OomScoreAdj: 500 }),
  },
  {
    sets: ['LogConfig'],
    why: 'The worker reads the output as it comes; what the daemon keeps beside, for people who look into it, is bounded.',
    host: () => ({ LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } } }),
  },
  {
    sets: ['RestartPolicy', 'AutoRemove'],
    why: 'A run is once; and how it ended is still to be asked when it has.',
    host: () => ({ RestartPolicy: { Name: 'no' }, AutoRemove: false }),
  },
  {
    sets: ['Healthcheck'],
    why: 'That of an image would run beside the step, again and again.',
    container: () => ({ Healthcheck: { Test: ['NONE'] } }),
  },
  {
    sets: ['StopSignal'],
    why: 'That of an image may be none that there is: then no container of it could be made.',
    container: () => ({ StopSignal: 'SIGTERM' }),
  },
  {
    sets: ['Env'],
    why: 'Home and temporary files lie where one may write; libraries that start a thread for each processor see all of the machine, so they are told how many they have; Python prints at once.',
    container: (plan) => ({ Env: environment(plan) }),
  },
  {
    sets: ['StopTimeout', 'Tty', 'OpenStdin', 'AttachStdin'],
    why: 'Nothing to be read from stdin, no terminal, which would mix both outputs.',
    container: () => ({ StopTimeout: 5, Tty: false, OpenStdin: false, AttachStdin: false }),
  },
];

/** All rows together, as the daemon wants them. */
export function hardened(plan: HardeningPlan): ContainerCreateOptions & { readonly HostConfig: HostConfig } {
  const container: ContainerCreateOptions = {};
  const host: HostConfig = {};
  for (const row of HARDENING) {
    Object.assign(container, row.container?.(plan));
    Object.assign(host, row.host?.(plan));
  }
  return { ...container, HostConfig: host };
}

/** The bounds of a container, as a run is limited and the daemon's machine is. */
export function boundsOf(
  limits: RunLimits,
  { cpus: machineCpus, boundsRootFolder }: Pick<DaemonFacts, 'cpus' | 'boundsRootFolder'>,
): Omit<HardeningPlan, 'user' | 'otherVariables' | 'imageVolumes'> {
  return {
    memoryBytes: limits.memoryBytes,
    sharedBytes: limits.sharedMemoryBytes ?? limits.memoryBytes,
    fileBytes: limits.diskBytes + FILE_MARGIN,
    cpus: limits.cpus,
    machineCpus,
    processes: limits.processes ?? PROCESSES,
    rootBytes: boundsRootFolder ? limits.diskBytes : undefined,
  };
}

/** What a RUN line of a Dockerfile is held back by less than a step, and why; all else of {@link HARDENING} holds. */
export const BUILD_DIFFERENCES: readonly HardeningRow[] = [
  {
    sets: ['CapAdd'],
    why: 'Programs are installed by root: it owns files, gives them away, and becomes other users. It sees no data of anybody.',
    host: () => ({ CapAdd: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETGID', 'SETUID'] }),
  },
  {
    sets: ['ReadonlyRootfs'],
    why: 'What a RUN line writes is the image. It is watched, and ended where it is too much.',
    host: () => ({ ReadonlyRootfs: false }),
  },
  {
    sets: ['Tmpfs'],
    why: 'What it leaves in /tmp is part of the image, as with Docker.',
    host: () => ({ Tmpfs: {} }),
  },
  {
    sets: ['OomScoreAdj'],
    why: 'Should the machine run out of memory, a build is to be killed before a step: it can be done again from where it was.',
    host: () => ({ OomScoreAdj: 900 }),
  },
  {
    sets: ['Env'],
    why: 'The environment is the one that the Dockerfile says, and nothing of it stays in the image that does not stand there.',
    container: () => ({ Env: [] }),
  },
];

/** All rows together for a RUN line, as the daemon wants them. */
export function hardenedBuild(
  plan: HardeningPlan,
): ContainerCreateOptions & { readonly HostConfig: HostConfig } {
  return withDifferences(plan, BUILD_DIFFERENCES);
}

/** How a runner differs from a step, and why: what a call leaves must be where the worker can take it away. */
export const RUNNER_DIFFERENCES: readonly HardeningRow[] = [
  {
    sets: ['Tmpfs'],
    why: 'Its place for temporary files is a folder of the worker: memory of the container would keep what an earlier call wrote.',
    host: () => ({ Tmpfs: {} }),
  },
  {
    sets: ['Mounts'],
    why: 'A VOLUME of its image is memory of the container as well, so it can be read alone.',
    host: (plan) => ({ Mounts: volumeMounts(plan).map((mount) => ({ ...mount, ReadOnly: true })) }),
  },
  {
    sets: ['SecurityOpt'],
    why: 'Shared memory, semaphores and messages of System V outlive their process, and lie in no folder that could be emptied.',
    host: () => ({ SecurityOpt: securityOptions(OUTLIVING) }),
  },
  {
    sets: ['Ulimits'],
    why: 'So do message queues of POSIX: none can be made.',
    host: (plan) => ({ Ulimits: [...ulimits(plan), { Name: 'msgqueue', Soft: 0, Hard: 0 }] }),
  },
  {
    sets: ['Env'],
    why: 'Its home is a folder of the worker, whatever its image says: elsewhere it could write nothing.',
    container: (plan) => ({ Env: [...environment(plan), `HOME=${RUNNER_HOME}`, `TMPDIR=${TMP}`] }),
  },
];

/** All rows together for a runner, as the daemon wants them. */
export function hardenedRunner(
  plan: HardeningPlan,
): ContainerCreateOptions & { readonly HostConfig: HostConfig } {
  return withDifferences(plan, RUNNER_DIFFERENCES);
}

function withDifferences(
  plan: HardeningPlan,
  differences: readonly HardeningRow[],
): ContainerCreateOptions & { readonly HostConfig: HostConfig } {
  const { HostConfig: host, ...container } = hardened(plan);
  for (const row of differences) {
    Object.assign(container, row.container?.(plan));
    Object.assign(host, row.host?.(plan));
  }
  return { ...container, HostConfig: host };
}

function volumeMounts({ imageVolumes, memoryBytes }: HardeningPlan) {
  return imageVolumes.map((path) => ({
    Type: 'tmpfs' as const,
    Source: '',
    Target: path,
    TmpfsOptions: { SizeBytes: tmpBytes(memoryBytes), Mode: 0o1777 },
  }));
}

function ulimits({ fileBytes }: HardeningPlan) {
  return [
    { Name: 'nofile', Soft: 1024, Hard: 4096 },
    { Name: 'core', Soft: 0, Hard: 0 },
    { Name: 'fsize', Soft: fileBytes, Hard: fileBytes },
  ];
}

function securityOptions(deniedToo: readonly string[] = []): string[] {
  return ['no-new-privileges:true', `seccomp=${seccompProfile(deniedToo)}`];
}

function tmpBytes(memoryBytes: number): number {
  return Math.max(Math.floor(memoryBytes / 4), MIB);
}

function environment({ cpus, machineCpus, otherVariables }: HardeningPlan): string[] {
  const threads = String(Math.max(1, Math.floor(Math.min(cpus ?? machineCpus, machineCpus))));
  const variables = {
    ...RUN_ENVIRONMENT,
    HOME: TMP,
    TMPDIR: TMP,
    JOBLIB_TEMP_FOLDER: TMP,
    OMP_NUM_THREADS: threads,
    OPENBLAS_NUM_THREADS: threads,
    MKL_NUM_THREADS: threads,
    NUMEXPR_NUM_THREADS: threads,
    TF_NUM_INTRAOP_THREADS: threads,
  };
  return Object.entries(variables)
    .filter(([name]) => !otherVariables.includes(name))
    .map(([name, value]) => `${name}=${value}`);
}

/**
 * System calls that Docker's newer default profile allows and that no step needs: each is a way to look into
 * or to change other processes. A debugger inside of a container does not work without them.
 */
export const DENIED_TOO: readonly string[] = [
  'ptrace',
  'process_vm_readv',
  'process_vm_writev',
  'process_madvise',
  'kcmp',
  'pidfd_getfd',
  'name_to_handle_at',
];

/** System calls for what stays in the kernel when the process that made it has ended: denied to runners. */
const OUTLIVING: readonly string[] = ['shmget', 'msgget', 'semget'];

/**
 * The list of system calls that a container may make, as JSON in Docker's own format: the default profile of Moby's
 * `profiles/seccomp` v0.2.3, less {@link DENIED_TOO}. Daemons of 20.10 have an older one, which allows io_uring: most
 * of what has been found wrong in kernels of late. What is not on the list, or in `deniedToo`, fails with EPERM.
 */
export function seccompProfile(deniedToo: readonly string[] = []): string {
  const denied = new Set([...DENIED_TOO, ...deniedToo]);
  const syscalls = profile.syscalls
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !denied.has(name)) }))
    .filter((rule) => rule.names.length > 0);
  return JSON.stringify({ ...profile, syscalls });
}
