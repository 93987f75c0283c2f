import { identify } from '@morpheo/client';
import { computeContract, storageContract } from '@morpheo/common';
import { NOTHING, type Probes, peerProbe, tlsProbe, traceProbes } from '@morpheo/service/check';
import { callsOf, computeOf, storageOf } from './clients.ts';
import type { ShepherdConfig } from './config.ts';

/** What `--check` of shepherd-api asks. */
export function probesOf(config: ShepherdConfig): Probes {
  const { cert, key } = config;
  const [atCompute, atStorage] = [computeOf(config), storageOf(config)];
  const { compute, storage } = callsOf(atCompute, atStorage);
  return {
    ...(cert === undefined || key === undefined ? {} : { tls: tlsProbe(cert, key) }),
    compute: peerProbe({
      url: atCompute.url,
      identify: async (signal) => await identify(computeContract, atCompute, signal),
      call: async (signal) => await compute.getOrder({ params: { id: NOTHING } }, { signal }),
      flag: '--compute',
      credentials: '--compute-user, --compute-password',
    }),
    storage: peerProbe({
      url: atStorage.url,
      identify: async (signal) => await identify(storageContract, atStorage, signal),
      call: async (signal) =>
        await storage.listOutputFiles({ params: { uuid: NOTHING }, query: {} }, { signal }),
      flag: '--storage',
      credentials: '--storage-user, --storage-password',
    }),
    ...traceProbes(config),
  };
}
