import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { storageClient } from '@morpheo/client';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median } from '../bench.ts';
import { type ServerProcess, startServer } from '../process/start-server.ts';
import { copySynced, digestOf, writeSource } from './source-file.ts';
import { type Cost, costOf, download, upload, uploadRaw } from './transfers.ts';

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
const AIM = 0.8;
/** Seconds of the server's CPU time for a GiB that comes. */
const CPU_AIM = 1.5;
const MIB = 2 ** 20;

/** A blob that goes to storage-api and comes back, digests compared, beside a copy of the same file on the same disk. */
export async function blobs({ folder, size, say, ...chosen }: BenchContext): Promise<Report> {
  const { rounds, mib: usual } = SIZES[size];
  const { mib = usual } = chosen;
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
  const raw = summary(
    'upload as it is',
    mib,
    found.map((one) => one.raw),
  );
  const down = summary(
    'download, synced',
    mib,
    found.map((one) => one.down),
  );
  return {
    name: 'blobs',
    title: `${mib} MiB to storage-api and back, beside a copy of the file on the same disk`,
    rows: [copy, up, raw, down].map((line) => ({
      what: line.what,
      'MiB/s': line.speed,
      ratio: line.speed / copy.speed,
      'server CPU s/GiB': line.cpuSeconds,
    })),
    aims: [
      ...[up, raw, down].map(({ what, speed }) => ({
        what: `${what}, share of the copy's speed`,
        measured: speed / copy.speed,
        least: AIM,
      })),
      ...[up, raw].map(({ what, cpuSeconds }) => ({
        what: `${what}, seconds of CPU time a GiB`,
        measured: cpuSeconds,
        most: CPU_AIM,
      })),
    ],
    notes: [
      'An upload is digested and synced before it is answered; a download is digested and synced by its client.',
      `Digests are equal, of what went up, what storage says, and what came down, in all ${rounds} rounds.`,
      `Memory of the server: ${inMib(before.memoryBytes)} MiB before, ${inMib(after.peakMemoryBytes)} MiB at its peak.`,
    ],
    bars: [copy, up, raw, down].map((line) => ({
      label: line.what,
      value: line.speed,
      unit: 'MiB/s',
      plain: line === copy,
    })),
  };
}

interface Round {
  readonly copies: readonly Cost[];
  readonly up: Cost;
  readonly raw: Cost;
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
  await rm(source);
  const other = await writeSource(source, mib);
  const raw = await costOf(server, () => uploadRaw(storage, source, mib * MIB));
  if (raw.result.sha256 !== other) throw new Error('storage-api holds other bytes than were sent');
  const down = await costOf(server, () => download(storage, up.result.uuid, back));
  if (down.result !== digest) throw new Error('storage-api answered other bytes than it was sent');
  if ((await digestOf(back)) !== digest) throw new Error('What was downloaded is not what is in the file');
  await rm(back);
  const third = await copy();
  await rm(source);
  return { copies: [first, second, third], up: up.cost, raw: raw.cost, down: down.cost };
}

function summary(what: string, mib: number, costs: readonly Cost[]) {
  return {
    what,
    speed: mib / (median(costs.map(({ ms }) => ms)) / 1000),
    cpuSeconds: (median(costs.map(({ cpuSeconds }) => cpuSeconds)) * 1024) / mib,
  };
}

function inMib(bytes: number): string {
  return String(Math.round(bytes / MIB));
}
