import test from 'ava';
import {
  DENIED_TOO,
  HARDENING,
  type HardeningPlan,
  hardened,
  hardenedRunner,
  seccompProfile,
} from './hardening.ts';

const plan: HardeningPlan = {
  user: '65534:65534',
  memoryBytes: 2 ** 30,
  sharedBytes: 2 ** 29,
  fileBytes: 5000,
  cpus: 1.5,
  machineCpus: 8,
  processes: 64,
  rootBytes: undefined,
  otherVariables: [],
  imageVolumes: [],
};

const byName = (a: string, b: string) => a.localeCompare(b);

test('Each row sets what it says, and no two set the same', (t) => {
  const seen = new Set<string>();
  for (const row of HARDENING) {
    const set = Object.keys({ ...row.container?.(plan), ...row.host?.({ ...plan, rootBytes: 1 }) });
    t.deepEqual(set.toSorted(byName), row.sets.toSorted(byName));
    for (const name of set) {
      t.false(seen.has(name), name);
      seen.add(name);
    }
    t.true(row.why.length > 20);
  }
});

test('A container has no network, no rights and a bound on everything', (t) => {
  const { HostConfig: host, ...container } = hardened(plan);
  t.like(host, { NetworkMode: 'none', ReadonlyRootfs: true, Memory: 2 ** 30, MemorySwap: 2 ** 30 });
  t.like(host, { NanoCpus: 1.5e9, PidsLimit: 64, Init: true, IpcMode: 'private', CapDrop: ['ALL'] });
  t.is(host.SecurityOpt[0], 'no-new-privileges:true');
  t.like(container, { User: '65534:65534', NetworkDisabled: true });
  t.false('StorageOpt' in host);
});

test('More processors than the machine has are not asked for', (t) => {
  const { HostConfig, Env } = hardened({ ...plan, cpus: 64 });
  t.is(HostConfig.NanoCpus, 8e9);
  t.true(Env?.includes('OMP_NUM_THREADS=8'));
  t.false('NanoCpus' in hardened({ ...plan, cpus: undefined }).HostConfig);
});

test('What the image says of its environment holds', (t) => {
  const { Env } = hardened({ ...plan, otherVariables: ['HOME'] });
  t.false(Env?.some((text) => text.startsWith('HOME=')));
  t.true(Env?.includes('OMP_NUM_THREADS=1'));
});

test('Shared memory is as large as is said, and Python prints at once', (t) => {
  const { HostConfig, Env } = hardened(plan);
  t.is(HostConfig.ShmSize, 2 ** 29);
  t.true(Env?.includes('PYTHONUNBUFFERED=1'));
  t.false(
    hardened({ ...plan, otherVariables: ['PYTHONUNBUFFERED'] }).Env?.some((text) =>
      text.startsWith('PYTHON'),
    ),
  );
});

test('A volume of an image becomes memory that is bounded', (t) => {
  const { Mounts } = hardened({ ...plan, imageVolumes: ['/var/cache'] }).HostConfig;
  t.like(Mounts, [{ Type: 'tmpfs', Target: '/var/cache', TmpfsOptions: { SizeBytes: 2 ** 28 } }]);
});

test('A runner is held back as a step is, and has no memory that the worker cannot take away [R54]', (t) => {
  const withVolume = { ...plan, imageVolumes: ['/cache'], otherVariables: ['HOME'] };
  const { HostConfig: step, ...stepContainer } = hardened(withVolume);
  const { HostConfig: host, ...container } = hardenedRunner(withVolume);
  const { Tmpfs, Mounts, SecurityOpt, Ulimits, ...rest } = host;
  t.like(step, rest);
  t.like(stepContainer, { ...container, Env: stepContainer.Env });
  t.deepEqual(Tmpfs, {});
  t.like(Mounts, [{ Type: 'tmpfs', Target: '/cache', ReadOnly: true }]);
  t.deepEqual(Ulimits, [...(step.Ulimits ?? []), { Name: 'msgqueue', Soft: 0, Hard: 0 }]);
  t.deepEqual(container.Env?.slice(-2), ['HOME=/home/runner', 'TMPDIR=/tmp']);
  const names = (options: readonly string[]) => {
    const profile = options[1]?.replace('seccomp=', '') ?? '';
    return JSON.parse(profile).syscalls.flatMap((rule: { names: string[] }) => rule.names);
  };
  t.is(SecurityOpt[0], step.SecurityOpt[0]);
  const allowed = new Set(names(SecurityOpt));
  const denied = names(step.SecurityOpt).filter((name: string) => !allowed.has(name));
  t.deepEqual(denied.toSorted(byName), ['msgget', 'semget', 'shmget']);
});

test('The profile allows what programs need and denies what they do not', (t) => {
  const { defaultAction, syscalls } = JSON.parse(seccompProfile());
  t.is(defaultAction, 'SCMP_ACT_ERRNO');
  const allowed = new Set<string>(
    syscalls
      .filter((rule: { action: string }) => rule.action === 'SCMP_ACT_ALLOW')
      .flatMap((rule: { names: string[] }) => rule.names),
  );
  for (const name of ['read', 'futex', 'clone3', 'memfd_create', 'sched_setaffinity', 'epoll_pwait2'])
    t.true(allowed.has(name), name);
  for (const name of ['io_uring_setup', 'io_uring_enter', 'userfaultfd', 'kexec_load', ...DENIED_TOO])
    t.false(allowed.has(name), name);
});
