import { identify } from '@morpheo/client';
import { computeContract, storageContract } from '@morpheo/common';
import { NOTHING, type Probe, type Probes, peerProbe, tlsProbe, traceProbes } from '@morpheo/service/check';
import { readShepherdFile } from '@morpheo/service/shepherd';
import { callsOf, computeOf, storageOf } from './clients.ts';
import type { ShepherdConfig } from './config.ts';
import { openS3Store } from './store/s3.ts';

/** What `--check` of shepherd-api asks. */
export function probesOf(config: ShepherdConfig, env: Env): Probes {
  const { cert, key, config: file } = config;
  const [atCompute, atStorage] = [computeOf(config), storageOf(config)];
  const { compute, storage } = callsOf(atCompute, atStorage);
  return {
    ...(cert === undefined || key === undefined ? {} : { tls: tlsProbe(cert, key) }),
    ...fileProbes(file, env),
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

/** What `--check` asks of the configuration of Shepherd; nothing where there is none. */
export function fileProbes(file: string | undefined, env: Env): Probes {
  if (file === undefined) return {};
  return { configuration: fileProbe(file, env), buckets: bucketsProbe(file, env) };
}

type Env = Readonly<Record<string, string | undefined>>;

function fileProbe(file: string, env: Env): Probe {
  return {
    ask: async () => {
      const { sheep } = await readShepherdFile(file, env);
      return `${file} names ${sheep.length} sheep`;
    },
  };
}

function bucketsProbe(file: string, env: Env): Probe {
  return {
    ask: async (signal) => {
      const { storage } = await readShepherdFile(file, env);
      if (storage === undefined) return 'none: they are folders';
      const { url: endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = storage;
      await using store = openS3Store({ endpoint, credentials: { accessKeyId, secretAccessKey } });
      await store.ping(signal);
      return endpoint;
    },
  };
}
