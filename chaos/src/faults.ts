import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '@morpheo/real-parts';
import type { Cluster } from './cluster/cluster.ts';
import type { ClusterService } from './cluster/cluster-service.ts';
import { cutConnections, whyNoCuts } from './cluster/connections.ts';

/** A kind of fault. */
export interface FaultKind {
  readonly name: string;
  /** How often beside the others. */
  readonly weight: number;
  /** Makes the fault at its target, and resolves when it is mended. */
  readonly strike: (target: string, random: Random) => Promise<void>;
  readonly targets: readonly string[];
}

/** The faults that this machine can make, and a sentence on each sort that it cannot. */
export interface FaultChoice {
  readonly kinds: readonly FaultKind[];
  readonly leftOut: readonly string[];
}

/** All kinds of faults for a cluster. */
export async function faultKinds(cluster: Cluster): Promise<FaultChoice> {
  const noCuts = await whyNoCuts();
  const noDisks = cluster.disks.owners.length > 0 ? undefined : 'only root may mount small disks';
  return {
    kinds: [
      ...serviceFaults(cluster),
      ...partFaults(cluster),
      ...(noCuts === undefined ? [connectionFault(cluster)] : []),
      ...(noDisks === undefined ? diskFaults(cluster) : []),
    ],
    leftOut: [
      ...(noCuts === undefined ? [] : [`connections cut: ${noCuts}`]),
      ...(noDisks === undefined ? [] : [`full disks: ${noDisks}`]),
    ],
  };
}

const names = (list: readonly ClusterService[]): string[] => list.map(({ name }) => name);

function serviceFaults({ computes, storages, workers }: Cluster): FaultKind[] {
  const named = new Map<string, ClusterService>(
    [...computes, ...storages, ...workers].map((service) => [service.name, service]),
  );
  const service = (name: string): ClusterService => {
    const found = named.get(name);
    if (found === undefined) throw new Error(`There is no service ${name}.`);
    return found;
  };
  const killed = (name: string, list: readonly ClusterService[], weight: number): FaultKind => ({
    name: `${name} killed`,
    weight,
    targets: names(list),
    async strike(target, random) {
      await service(target).kill();
      await sleep(random.between(0, 1500));
      void service(target).start();
      // A process that is killed again before it has begun is no new fault.
      await sleep(1500);
    },
  });
  const frozen = (name: string, list: readonly ClusterService[], ms: (random: Random) => number) => ({
    ...{ name, weight: 2, targets: names(list) },
    async strike(target: string, random: Random) {
      service(target).freeze();
      await sleep(ms(random));
      service(target).thaw();
    },
  });
  return [
    killed('worker', workers, 10),
    killed('compute-api', computes, 6),
    killed('storage-api', storages, 4),
    { ...frozen('worker frozen beyond its lease', workers, () => 40_000), weight: 1 },
    frozen('API frozen', [...computes, ...storages], (random) => random.between(500, 12_000)),
  ];
}

function partFaults({ nsqd, postgres, minio, dind, orchestrator }: Cluster): FaultKind[] {
  const part = (name: string, target: string, weight: number, strike: FaultKind['strike']): FaultKind => ({
    ...{ name, weight, strike },
    targets: [target],
  });
  return [
    part('nsqd killed', 'nsqd', 2, async (_, random) => {
      await nsqd.kill();
      await sleep(random.between(0, 3000));
      await nsqd.start();
    }),
    part('nsqd wiped', 'nsqd', 2, async () => {
      await nsqd.wipe();
      await nsqd.start();
    }),
    part('nsqd frozen', 'nsqd', 1, async (_, random) => {
      await nsqd.freeze();
      await sleep(random.between(500, 8000));
      await nsqd.thaw();
    }),
    part('PostgreSQL killed', 'postgres', 2, async (_, random) => {
      await postgres.kill();
      await sleep(random.between(0, 2000));
      await postgres.start();
    }),
    part('MinIO killed', 'minio', 2, async (_, random) => {
      await minio.kill();
      await sleep(random.between(0, 2000));
      await minio.start();
    }),
    part('DinD restarted', 'dind', 1, async () => {
      await dind.kill('SIGKILL');
      await dind.restart();
    }),
    part('orchestrator away', 'orchestrator', 2, async (_, random) => {
      await orchestrator.stop();
      await sleep(random.between(500, 8000));
      await orchestrator.start();
    }),
  ];
}

function connectionFault({ computes, storages, nsqd, postgres, minio, orchestrator }: Cluster): FaultKind {
  const ports = new Map<string, number>([
    ...[...computes, ...storages].map(({ name, port = 0 }): [string, number] => [name, port]),
    ['nsqd', Number(nsqd.tcp.split(':').at(-1))],
    ['postgres', postgres.target.port],
    ['minio', Number(new URL(minio.endpoint).port)],
    ['orchestrator', orchestrator.port],
  ]);
  return {
    name: 'connections cut',
    weight: 5,
    targets: [...ports.keys()],
    strike: async (target) => await cutConnections(ports.get(target) ?? 0),
  };
}

function diskFaults({ disks, postgres }: Cluster): FaultKind[] {
  const full = (name: string, targets: readonly string[], mend: () => Promise<void>): FaultKind => ({
    ...{ name, weight: 1, targets },
    async strike(target, random) {
      await disks.of(target).fill();
      await sleep(random.between(500, 6000));
      await disks.of(target).free();
      await mend();
    },
  });
  const others = disks.owners.filter((owner) => owner !== 'postgres');
  return [
    { ...full('disk full', others, async () => undefined), weight: 2 },
    full('disk of PostgreSQL full', ['postgres'], async () => {
      // A server without room for its log ends itself; whoever looks after it starts it again.
      await postgres.query('select 1').catch(async () => {
        await postgres.kill();
        await postgres.start();
      });
    }),
  ];
}
