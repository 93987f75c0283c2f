import { VERSION } from '@morpheo/common';
import { COMPUTE_DEFAULTS } from '@morpheo/compute-api';
import { openConnections } from '@morpheo/compute-worker';
import { folderProbe, settingsOrCheck, traceProbes } from '@morpheo/service/check';
import { type RunningService, startService } from '@morpheo/service/lifecycle';
import { tracerOf } from '@morpheo/service/trace';
import { loadConfig } from './config.ts';
import { diceboxOf } from './dicebox/up.ts';
import { startPlatform } from './platform.ts';
import { shepherdOf } from './shepherd/up.ts';

const DAY_MS = 86_400_000;

/** Starts the platform as its flags and environment say; undefined where only help, or a check, was asked for. */
export async function start(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<RunningService | undefined> {
  const loaded = await settingsOrCheck(loadConfig(argv, env), (values) => ({
    'data folder': folderProbe(values.home),
    ...traceProbes(values),
  }));
  return await startService(loaded, {
    name: 'standalone',
    open: async (config, tools) => {
      const { log, metrics, stack } = tools;
      const { storagePort, computePort, orchestratorPort, learn, predict, job, attempts, keepOrdersDays } =
        config;
      const ordersMs = keepOrdersDays === 0 ? null : keepOrdersDays * DAY_MS;
      const buckets = await openConnections(config.buckets, { log, stack });
      const shepherd = await shepherdOf(config, env, tools);
      const dicebox = await diceboxOf(config, env, tools);
      const slots = { learn, predict, job: Math.max(job, shepherd?.parts.slots?.job ?? 0) };
      const platform = stack.use(
        await startPlatform({
          folder: config.home,
          ports: { storage: storagePort, compute: computePort, orchestrator: orchestratorPort },
          ...shepherd?.parts,
          slots,
          compute: {
            ...{ attempts, retention: { ...COMPUTE_DEFAULTS.retention, ordersMs } },
            callbacks: [...(config.callbacks ?? []), ...(shepherd === undefined ? [] : [shepherd.callbacks])],
          },
          worker: { ...shepherd?.parts.worker, buckets },
          trainer: dicebox?.trainer,
          beside: [
            ...(shepherd === undefined ? [] : [shepherd.open]),
            ...(dicebox === undefined ? [] : [dicebox.open]),
          ],
          ...{ log, metrics },
          openTracer: async (service, own) => await tracerOf(config, { service, version: VERSION, log: own }),
        }),
      );
      const { credentials: _secret, api_key: _key, ...ready } = platform.connection;
      return { drain: () => platform.drain(), ready };
    },
  });
}
