import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { storageClient } from '@morpheo/client';
import { freePorts, mainOf, ServiceProcess } from '@morpheo/real-parts';
import type { Connection } from '@morpheo/standalone';
import { uploadEcho } from '@morpheo/standalone/echo';
import { type BenchContext, type BenchSize, type Rate, type Report, rateOf } from '../bench.ts';

/** For how long jobs are started, alone and by several at once, in milliseconds. */
const SIZES: Readonly<Record<BenchSize, number>> = { full: 20_000, quick: 8000, tiny: 500 };
const TOGETHER = 16;
/** Of the original, on the machine where these aims were set. */
const ORIGINAL = { p50: 72, perSecond: 26.9 } as const;

/**
 * Jobs through Shepherd's API, each from its start with a payload until its result was fetched: `shepherd` with a platform
 * of its own, buckets in folders, and a model that does nothing, which stays warm as a process.
 */
export async function shepherd({ folder, size, say }: BenchContext): Promise<Report> {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  await using program = new ServiceProcess({
    main: mainOf('shepherd'),
    flags: { port, 'data-dir': folder, protocol: 'runner', 'log-level': 'error' },
    ready: `${url}/health`,
    output: 'show',
  });
  await program.start();
  const { storage, credentials } = await connectionIn(join(folder, 'platform'));
  const model = await uploadEcho(storageClient({ url: storage, credentials }));
  const job = async () => await doJob(url, model);
  for (let warm = 0; warm < 5; warm++) await job();
  say('shepherd: alone');
  const alone = await rateOf([job], SIZES[size]);
  say(`shepherd: ${TOGETHER} at once`);
  const together = await rateOf(Array<typeof job>(TOGETHER).fill(job), SIZES[size]);
  await program.kill('SIGTERM');
  return reportOf(alone, together);
}

/** How the platform is reached, which is written down when all of it runs. */
async function connectionIn(folder: string): Promise<Connection> {
  for (;;) {
    const text = await readFile(join(folder, 'connection.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) return JSON.parse(text) as Connection;
    await pause(10);
  }
}

async function doJob(url: string, model: string): Promise<void> {
  const job_id = randomUUID();
  await ask(`${url}/start-job`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ job_id, model: { name: model }, payload: '{"input":"42"}' }),
  });
  await ask(`${url}/jobs/${job_id}/wait_ready`);
  const result = await ask(`${url}/jobs/${job_id}/result`);
  if (result !== '{"result":"42"}') throw new Error(`The result is ${result}.`);
}

async function ask(url: string, init?: RequestInit): Promise<string> {
  const answer = await fetch(url, init);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${url} answers ${answer.status}: ${text}`);
  return text;
}

function reportOf(alone: Rate, together: Rate): Report {
  const line = (what: string, { perSecond, p50, p99 }: Rate) => ({
    ...{ what, 'jobs per s': perSecond, 'p50 ms': p50, 'p99 ms': p99 },
  });
  return {
    name: 'shepherd',
    title: 'jobs through Shepherd’s API: start, wait, fetch the result',
    rows: [line('one caller', alone), line(`${TOGETHER} callers`, together)],
    aims: [
      { what: 'a job of one caller, ms', measured: alone.p50, most: 25 },
      { what: `jobs of ${TOGETHER} callers per second`, measured: together.perSecond, least: 120 },
    ],
    notes: [
      `The original, measured where the aims were set: ${ORIGINAL.p50} ms, and ${ORIGINAL.perSecond} jobs per second.`,
      'A job is an order: its start, its end and its effects are committed, and its files are on disk, before they are told.',
    ],
    bars: [
      { label: 'a job of one caller', value: alone.p50, unit: 'ms', plain: false },
      { label: 'the original', value: ORIGINAL.p50, unit: 'ms', plain: true },
    ],
  };
}
