import { join } from 'node:path';
import { type CallRequest, callAnswer } from '@morpheo/common';
import { type BenchContext, percentile, type Report } from '../bench.ts';
import { load } from '../orders/load.ts';
import { startServer } from '../process/start-server.ts';
import { BARE, bareRows, CALLERS, MS, openPlatform, reportOf } from './figures.ts';

const FILE = Buffer.alloc(1024, 'x').toString('base64');
const AIMS = { p50: 5, perSecond: 500 };

/** Synchronous calls of a warm program that does nothing, and of one that copies a file, beside the bare program. */
export async function warmCalls(context: BenchContext): Promise<Report> {
  const { folder, size, say } = context;
  const ms = MS[size];
  const rows = await bareRows('warm-calls', context);
  const home = join(folder, 'home');
  await using server = await startServer('platform', [home]);
  const { compute, algo, credentials, computeUrl } = await openPlatform(home);
  const authorization = `Basic ${Buffer.from(`${credentials.name}:${credentials.secret}`).toString('base64')}`;
  const cases: readonly (readonly [string, CallRequest])[] = [
    ['call of a program that does nothing', { algo }],
    [
      'call of a program that copies 1 KiB',
      { algo, env: { COPY: '1' }, inputs: [{ path: '/in/file', inline: FILE }] },
    ],
  ];
  for (const [what, request] of cases) {
    for (const callers of CALLERS) {
      say(`warm-calls: ${what}, ${callers} callers`);
      await compute.postCall({ headers: {}, body: request });
      const body = JSON.stringify(request);
      const before = await server.usage();
      const { accepted, seconds, latencies } = await load({
        ...{ url: computeUrl, path: '/v1/calls', callers, ms, status: 200, authorization },
        next: () => ({ id: '', body }),
        check: (answer) => demandRight(request, answer),
      });
      const used = (await server.usage()).cpuSeconds - before.cpuSeconds;
      rows.push({
        ...{ what, callers, perSecond: accepted.length / seconds },
        p50: percentile(latencies, 0.5),
        p99: percentile(latencies, 0.99),
        cpu: (used / accepted.length) * 1e6,
      });
    }
  }
  return reportOf(rows, {
    name: 'warm-calls',
    title:
      'synchronous calls of a program that is warm, beside the bare program over the same kind of socket',
    measured: rows.filter(({ what }) => what.endsWith('nothing')),
    many: 'calls',
    aims: AIMS,
    notes: [
      'The platform is one process (compute-api, storage-api and a worker), and the program another; the CPU time is that of the platform.',
      'A runner ends after 1,000 calls, and its successor starts meanwhile: what that takes is in the figures.',
      BARE,
    ],
  });
}

function demandRight({ inputs }: CallRequest, text: string): void {
  const { outputs } = callAnswer.parse(JSON.parse(text));
  const data = outputs.map((output) => output.data).join();
  if (data !== (inputs === undefined ? '' : FILE)) throw new Error(`A call was answered with ${text}`);
}
