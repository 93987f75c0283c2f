import { computeClient, orderLines } from '@morpheo/client';
import { percentile } from '../bench.ts';
import type { ServerProcess } from '../process/start-server.ts';
import { nextOrder } from './next-order.ts';
import type { Round } from './rounds.ts';

/** Sends `batches` batches of `orders` learn orders each, one after another; each order of them was taken in. */
export async function batchRound(
  server: ServerProcess,
  { batches, orders }: { readonly batches: number; readonly orders: number },
): Promise<Round> {
  const compute = computeClient({ url: server.url });
  const accepted: string[] = [];
  const latencies: number[] = [];
  const before = await server.usage();
  for (let n = 0; n < batches; n++) {
    // What the lines are made of is not measured.
    const lines = Array.from({ length: orders }, () => `{"kind":"learn","uplet":${nextOrder().body}}`);
    const started = performance.now();
    for await (const { line, status, uuid, detail } of orderLines(compute, lines)) {
      if (status !== 202 || uuid === undefined)
        throw new Error(`Line ${line} of a batch was refused: ${detail}`);
      accepted.push(uuid);
    }
    latencies.push(performance.now() - started);
  }
  const after = await server.usage();
  const seconds = latencies.reduce((sum, ms) => sum + ms, 0) / 1000;
  return {
    accepted,
    perSecond: accepted.length / seconds,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / accepted.length,
  };
}
