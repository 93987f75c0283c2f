import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { computeClient, storageClient } from '@morpheo/client';
import { callAnswer } from '@morpheo/common';
import { createLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import { uploadAlgo } from '../overhead/programs.ts';
import type { Proof } from './proof.ts';

/** A warm runner is lent one GPU, answers two calls with it, and keeps it between them. */
export const runnerWithLease: Proof = {
  name: 'a warm runner has the GPU that it was lent',
  show: async ({ gpus, folder }) => {
    const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
    await using platform = await startPlatform({ folder: join(folder, 'home'), log });
    const { connection } = platform;
    const { credentials } = connection;
    const storage = storageClient({ url: connection.storage, credentials });
    const compute = computeClient({ url: connection.compute, credentials });
    const program = fileURLToPath(new URL('program/', import.meta.url));
    const algo = await uploadAlgo(storage, program, ['Dockerfile', 'main.mjs']);
    const call = async () => {
      const answer = await compute.postCall({ headers: {}, body: { algo, gpus: 1 } });
      const { outputs } = callAnswer.parse(answer);
      return outputs.map(({ data }) => Buffer.from(data, 'base64').toString()).join();
    };
    const [first, second] = [await call(), await call()];
    const [pid, visible = ''] = first.split(' ');
    if (!gpus.some(({ id }) => id === visible))
      throw new Error(`it was lent ${visible}, which the machine has not`);
    if (second !== first) throw new Error(`the second call was answered otherwise: ${first}, then ${second}`);
    // Workers tell of their runners now and then.
    const lent = async () =>
      (await compute.listRunners({ query: {} })).items.reduce((sum, runner) => sum + runner.gpus, 0);
    const deadline = Date.now() + 60_000;
    while ((await lent()) !== 1) {
      if (Date.now() > deadline) throw new Error(`the platform says that ${await lent()} GPUs are lent`);
      await setTimeout(100);
    }
    return `process ${pid} has ${visible}, in both calls`;
  },
};
