import { randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { storageClient, uploadForm } from '@morpheo/client';
import type { Api, StorageContract } from '@morpheo/common';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { type ServerProcess, startServer } from '../process/start-server.ts';
import { median, timed } from '../statistics.ts';
import { copySynced, digestOf, saveSynced, writeSource } from './source-file.ts';

interface Size {
  readonly mib: number;
  readonly rounds: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { mib: 1024, rounds: 3 },
  quick: { mib: 256, rounds: 2 },
  tiny: { mib: 8, rounds: 1 },
};

/** Of the plain copy's speed. */
const AIM = 1 / 2;
const MIB = 2 ** 20;

/** A blob that goes to storage-api and comes back, digests compared, beside a copy of the same file on the same disk. */
export async function blobs({ folder, size, say }: BenchContext): Promise<Report> {
  const { mib, rounds } = SIZES[size];
  await using server = await startServer('storage', [join(folder, 'storage')]);
  const before = await server.usage();
  const found: Round[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    say(`blobs: round ${turn + 1} of ${rounds}`);
    found.push(await round(server, folder, mib));
  }
  const after = await server.usage();
  const copy = summary(
    'plain copy, synced',
    mib,
    found.flatMap(({ copies }) => copies),
  );
  const up = summary(
    'upload as a form',
    mib,
    found.map((one) => one.up),
  );
  const down = summary(
    'download, synced',
    mib,
    found.map((one) => one.down),
  );
  return {
    name: 'blobs',
    title: `${mib} MiB to storage-api and back, beside a copy of the file on the same disk`,
    rows: [copy, up, down].map((line) => ({
      what: line.what,
      'MiB/s': line.speed,
      ratio: line.speed / copy.speed,
      'server CPU s/GiB': line.cpuSeconds,
    })),
    aims: [up, down].map(({ what, speed }) => ({
      what: `${what}, share of the copy's speed`,
      measured: speed / copy.speed,
      least: AIM,
    })),
    notes: [
      'An upload is digested and synced before it is answered; a download is digested and synced by its client.',
      `Digests are equal, of what went up, what storage says, and what came down, in all ${rounds} rounds.`,
      `Memory of the server: ${inMib(before.memoryBytes)} MiB before, ${inMib(after.peakMemoryBytes)} MiB at its peak.`,
    ],
    bars: [copy, up, down].map((line) => ({
      label: line.what,
      value: line.speed,
      unit: 'MiB/s',
      plain: line === copy,
    })),
  };
}

/** One transfer: milliseconds, and seconds of CPU that the server took for it. */
interface Cost {
  readonly ms: number;
  readonly cpuSeconds: number;
}

interface Round {
  readonly copies: readonly Cost[];
  readonly up: Cost;
  readonly down: Cost;
}

/** On bytes that storage has never seen: it stores the same bytes once. The disk is tried before, between and after. */
async function round(server: ServerProcess, folder: string, mib: number): Promise<Round> {
  const storage = storageClient({ url: server.url });
  const [source, back] = [join(folder, 'source'), join(folder, 'back')];
  const digest = await writeSource(source, mib);
  const copy = async () => {
    const { cost } = await costOf(server, () => copySynced(source, join(folder, 'copy')));
    await rm(join(folder, 'copy'));
    return cost;
  };
  const first = await copy();
  const up = await costOf(server, () => upload(storage, source, mib * MIB));
  if (up.result.sha256 !== digest) throw new Error('storage-api holds other bytes than were sent');
  const second = await copy();
  const down = await costOf(server, () => download(storage, up.result.uuid, back));
  if (down.result !== digest) throw new Error('storage-api answered other bytes than it was sent');
  if ((await digestOf(back)) !== digest) throw new Error('What was downloaded is not what is in the file');
  await rm(back);
  const third = await copy();
  await rm(source);
  return { copies: [first, second, third], up: up.cost, down: down.cost };
}

async function costOf<T>(server: ServerProcess, work: () => Promise<T>): Promise<{ result: T; cost: Cost }> {
  const before = await server.usage();
  const { result, ms } = await timed(work);
  const after = await server.usage();
  return { result, cost: { ms, cpuSeconds: after.cpuSeconds - before.cpuSeconds } };
}

function summary(what: string, mib: number, costs: readonly Cost[]) {
  return {
    what,
    speed: mib / (median(costs.map(({ ms }) => ms)) / 1000),
    cpuSeconds: (median(costs.map(({ cpuSeconds }) => cpuSeconds)) * 1024) / mib,
  };
}

async function upload(
  storage: Api<StorageContract>,
  file: string,
  size: number,
): Promise<{ uuid: string; sha256: string }> {
  const fields = { uuid: randomUUID(), size: String(size) };
  const body = uploadForm({ fields, blob: await openAsBlob(file) });
  const stored = await storage.upload({ params: { type: 'data' }, query: {}, body });
  if (!('sha256' in stored)) throw new Error('storage-api does not tell the digest of an upload');
  return stored;
}

async function download(storage: Api<StorageContract>, uuid: string, to: string): Promise<string> {
  const { body } = await storage.getDataBlob({ params: { uuid }, headers: {} });
  if (body === undefined) throw new Error('storage-api answered a download without bytes');
  return await saveSynced(body, to);
}

function inMib(bytes: number): string {
  return String(Math.round(bytes / MIB));
}
