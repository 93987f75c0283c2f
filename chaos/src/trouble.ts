import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '@morpheo/simulation/random';
import type { Cluster } from './cluster/cluster.ts';
import type { ServiceProcess } from './cluster/service-process.ts';

/** A fault that was made. */
export interface Fault {
  readonly kind: string;
  readonly target: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly mendedAt: number;
}

interface Kind {
  readonly name: string;
  /** How often beside the others. */
  readonly weight: number;
  /** Makes the fault at its target, and resolves when it is mended. */
  readonly strike: (target: string, random: Random) => Promise<void>;
  readonly targets: readonly string[];
}

/** Makes one fault after another, `everyMs` apart on average, until `isOver`; never two at one target. */
export async function makeTrouble(
  cluster: Cluster,
  random: Random,
  { everyMs, isOver, most }: { everyMs: number; isOver: () => boolean; most: number },
): Promise<Fault[]> {
  const kinds = kindsOf(cluster);
  const drawn = kinds.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));
  const faults: Fault[] = [];
  const mending = new Map<string, Promise<void>>();
  while (!isOver() && faults.length < most) {
    await sleep(random.between(0, everyMs * 2));
    const kind = random.pick(drawn);
    const target = random.pick(kind.targets);
    if (mending.has(target)) continue;
    const at = Date.now();
    const over = kind.strike(target, random).finally(() => {
      mending.delete(target);
      faults.push({ kind: kind.name, target, at, mendedAt: Date.now() });
    });
    mending.set(target, over);
  }
  await Promise.all(mending.values());
  return faults;
}

function kindsOf(cluster: Cluster): Kind[] {
  const services = [...cluster.computes, ...cluster.storages, ...cluster.workers];
  const named = new Map<string, ServiceProcess>(services.map((service) => [service.name, service]));
  const names = (list: readonly ServiceProcess[]): string[] => list.map(({ name }) => name);
  const service = (name: string): ServiceProcess => {
    const found = named.get(name);
    if (found === undefined) throw new Error(`There is no service ${name}.`);
    return found;
  };
  const restart = (name: string, list: readonly ServiceProcess[], weight: number): Kind => ({
    name: `${name} killed`,
    weight,
    targets: names(list),
    async strike(target, random) {
      await service(target).kill();
      await sleep(random.between(0, 1500));
      service(target).start();
      // A process that is killed again before it has begun is no new fault.
      await sleep(1500);
    },
  });
  const part = (name: string, target: string, weight: number, strike: Kind['strike']): Kind => ({
    ...{ name, weight, strike },
    targets: [target],
  });
  const { nsqd, postgres, minio, dind, orchestrator } = cluster;
  return [
    restart('worker', cluster.workers, 10),
    restart('compute-api', cluster.computes, 6),
    restart('storage-api', cluster.storages, 4),
    {
      name: 'worker frozen beyond its lease',
      weight: 1,
      targets: names(cluster.workers),
      async strike(target) {
        service(target).freeze();
        await sleep(40_000);
        service(target).thaw();
      },
    },
    {
      name: 'API frozen',
      weight: 2,
      targets: names([...cluster.computes, ...cluster.storages]),
      async strike(target, random) {
        service(target).freeze();
        await sleep(random.between(500, 12_000));
        service(target).thaw();
      },
    },
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
    part('connections to PostgreSQL cut', 'postgres', 3, async () => {
      await postgres.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()',
      );
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
