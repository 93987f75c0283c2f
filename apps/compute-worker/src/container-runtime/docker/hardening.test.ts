import test from 'ava';
import { HARDENING, type HardeningPlan, hardened } from './hardening.ts';

const plan: HardeningPlan = {
  user: '65534:65534',
  memoryBytes: 2 ** 30,
  fileBytes: 5000,
  cpus: 1.5,
  machineCpus: 8,
  processes: 64,
  rootBytes: undefined,
  imageVariables: [],
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
  const { Env } = hardened({ ...plan, imageVariables: ['HOME'] });
  t.false(Env?.some((text) => text.startsWith('HOME=')));
  t.true(Env?.includes('OMP_NUM_THREADS=1'));
});

test('A volume of an image becomes memory that is bounded', (t) => {
  const { Mounts } = hardened({ ...plan, imageVolumes: ['/var/cache'] }).HostConfig;
  t.like(Mounts, [{ Type: 'tmpfs', Target: '/var/cache', TmpfsOptions: { SizeBytes: 2 ** 28 } }]);
});
