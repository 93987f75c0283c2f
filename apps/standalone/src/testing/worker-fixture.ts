import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeClient, storageClient } from '@morpheo/client';
import { learnuplet, type OrderView } from '@morpheo/common';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { type Dind, mainOf, ServiceProcess, startDind } from '@morpheo/real-parts';
import { openMemoryBroker } from '@morpheo/service/broker';
import { followTicketKeys, ticketSigner } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import { z } from 'zod';
import { uploadData, uploadThing } from '../scenarios/uploads.ts';
import { makeTicketKeyFile } from '../secrets.ts';
import { countingJob, type PausedStep, pausedAlgorithm, pausedProblem } from './paused-programs.ts';

const run = promisify(execFile);

/** A container as its daemon lists it. */
export interface ListedContainer {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

/** A worker as a process that is killed, frozen and started again on the same folder. */
export class WorkerProcess extends ServiceProcess {
  /** The worker's own folder. */
  readonly folder: string;

  constructor(flags: Readonly<Record<string, string>> & { readonly 'data-dir': string }) {
    super({ main: mainOf('compute-worker'), flags });
    this.folder = flags['data-dir'];
  }
}

/** compute-api and storage-api in this process, a Docker daemon, and workers as processes that can be killed. */
export type WorkerFixture = Awaited<ReturnType<typeof openWorkerFixture>>;

/** Opens one on a daemon; `leaseMs` is the lease of its orders. */
export async function openWorkerFixture(daemon: Dind, leaseMs: number) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-fixture-'))).path;
  const tickets = stack.use(
    await followTicketKeys({ file: await makeTicketKeyFile(folder), log: silentLog }),
  );
  const common = { host: '127.0.0.1', port: 0, callers: null, version: 'test', log: silentLog };
  const storage = stack.use(
    await openStorageService({ ...common, dataFolder: join(folder, 'storage'), tickets: tickets.verify }),
  );
  const compute = stack.use(
    await openComputeService({
      ...common,
      database: { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker: stack.use(openMemoryBroker()),
      storage: { url: storage.url },
      signTicket: ticketSigner(tickets.keys),
      anonymousIntake: false,
      settings: {
        ...COMPUTE_DEFAULTS,
        leaseMs,
        renewMs: leaseMs / 3,
        retryBackOff: { firstMs: 10, mostMs: 10, jitter: 0.25 },
      },
    }),
  );
  const host = `unix://${daemon.socketPath}`;
  const docker = async (...args: string[]) => (await run('docker', ['-H', host, ...args])).stdout.trim();
  const apis = { compute: computeClient({ url: compute.url }), storage: storageClient({ url: storage.url }) };
  const upload = async (type: 'problem' | 'algo', archive: Buffer) =>
    await uploadThing(
      apis.storage,
      type,
      { name: 'paused', ...(type === 'problem' ? { description: 'paused' } : {}) },
      archive,
    );
  const opened = stack.move();
  return {
    ...apis,
    docker,
    /** compute-api goes away. */
    stopCompute: async () => await compute[Symbol.asyncDispose](),
    /** A worker that is not started yet; `flags` beside those that lead it here. */
    worker(flags: Record<string, string> = {}): WorkerProcess {
      const location = {
        compute: compute.url,
        storage: storage.url,
        'data-dir': join(daemon.jobs, randomUUID()),
      };
      const runtime = {
        runtime: 'docker',
        'docker-host': host,
        gpus: 'none',
        poll: '300ms',
        'log-level': 'info',
      };
      const slots = { 'learn-parallelism': '1', 'predict-parallelism': '0' };
      return opened.use(new WorkerProcess({ ...location, ...runtime, ...slots, ...flags }));
    },
    /** Where storage-api is. */
    storageUrl: storage.url,
    /** Places a training of which one step lasts until it is told to end; with so many GPUs, none where absent. */
    async learn(step: PausedStep = 'train', gpus?: number): Promise<string> {
      const workflow = await upload('problem', pausedProblem(step));
      const body = learnuplet.parse({
        ...{ uuid: randomUUID(), workflow, problem: workflow, model_end: randomUUID(), status: 'todo', gpus },
        algo: await upload('algo', pausedAlgorithm(step)),
        train_data: [await uploadData(apis.storage)],
        test_data: [await uploadData(apis.storage)],
      });
      await apis.compute.learn({ body });
      return body.uuid;
    },
    /** Places a job that counts, in its metrics and its checkpoint, until it is told to end. */
    async job(): Promise<string> {
      const body = { uuid: randomUUID(), algo: await upload('algo', countingJob()) };
      return (await apis.compute.postJob({ body })).uuid;
    },
    /** The lines of metrics in the history of an order that has ended, as they stand there. */
    async metrics(id: string): Promise<readonly unknown[]> {
      const events = await Array.fromAsync(await apis.compute.orderEvents({ params: { id }, headers: {} }));
      const told = events.filter(({ data }) => data.what === 'metrics');
      return told.flatMap(({ data }) => z.array(z.unknown()).parse(data.details.lines));
    },
    /** The containers of a step of an order, those for data apart. */
    async containers(order: string, step: string): Promise<ListedContainer[]> {
      const format =
        '{{.ID}} {{.Names}} {{.State}} {{.Label "org.morpheo.order"}}.{{.Label "org.morpheo.step"}}';
      const lines = await docker('ps', '-a', '--no-trunc', '--format', format);
      const all = lines.split('\n').map((line) => line.split(' '));
      // Of one that was started ahead the name tells whose it is: `morpheo-spare-<id>.<order>.<attempt>.<step>.…`.
      const isOf = (name: string, labels: string) => {
        const [, ofOrder, , ofStep] = name.split('.');
        return labels === `${order}.${step}` || (ofOrder === order && ofStep === step);
      };
      return all.flatMap(([id = '', name = '', state = '', labels = '']) =>
        !isOf(name, labels) || name.endsWith('-data') ? [] : [{ id, name, state }],
      );
    },
    /** Everything of the platform that is in the daemon, images apart. */
    async inDaemon(): Promise<string> {
      const labelled = ['--filter', 'label=org.morpheo.order'];
      return `${await docker('ps', '-a', '-q', ...labelled)}${await docker('volume', 'ls', '-q', ...labelled)}`;
    },
    /** The folders of attempts that a worker has. */
    workspaces: async (worker: WorkerProcess) => await readdir(join(worker.folder, 'work')).catch(() => []),
    async order(id: string): Promise<OrderView> {
      return await apis.compute.getOrder({ params: { id } });
    },
    async log(id: string): Promise<string> {
      const answer = await apis.compute.orderLog({ params: { id }, query: {} });
      let text = '';
      for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
      return text;
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** A daemon for the tests of a file, started by the first who asks. */
export function sharedDaemon() {
  let started: Promise<Dind> | undefined;
  return {
    dind: async () => {
      started ??= startDind();
      return await started;
    },
    [Symbol.asyncDispose]: async () => await (await started)?.[Symbol.asyncDispose](),
  };
}
