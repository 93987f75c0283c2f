import { randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { storageClient, uploadForm } from '@morpheo/client';
import type { Api, StorageContract } from '@morpheo/common';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
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
  const storage = storageClient({ url: server.url });
  const before = await server.usage();
  const found: Round[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    say(`blobs: round ${turn + 1} of ${rounds}`);
    found.push(await round(storage, folder, mib));
  }
  const after = await server.usage();
  const speed = (of: (one: Round) => number) => mib / (median(found.map(of)) / 1000);
  const [copy, up, down] = [speed((one) => one.copyMs), speed((one) => one.upMs), speed((one) => one.downMs)];
  const lines = [
    { what: 'plain copy, synced', speed: copy, plain: true },
    { what: 'upload as a form', speed: up, plain: false },
    { what: 'download, synced', speed: down, plain: false },
  ];
  return {
    name: 'blobs',
    title: `${mib} MiB to storage-api and back, beside a copy of the file on the same disk`,
    rows: lines.map((line) => ({ what: line.what, 'MiB/s': line.speed, ratio: line.speed / copy })),
    aims: lines
      .filter(({ plain }) => !plain)
      .map((line) => ({
        what: `${line.what}, share of the copy's speed`,
        measured: line.speed / copy,
        least: AIM,
      })),
    notes: [
      'An upload is digested and synced before it is answered; a download is digested and synced by its client.',
      `Digests are equal, of what went up, what storage says, and what came down, in all ${rounds} rounds.`,
      `Memory of the server: ${inMib(before.memoryBytes)} MiB before, ${inMib(after.peakMemoryBytes)} MiB at its peak.`,
    ],
    bars: lines.map((line) => ({ label: line.what, value: line.speed, unit: 'MiB/s', plain: line.plain })),
  };
}

interface Round {
  readonly copyMs: number;
  readonly upMs: number;
  readonly downMs: number;
}

/** Each on bytes that storage has never seen: it stores the same bytes once. */
async function round(storage: Api<StorageContract>, folder: string, mib: number): Promise<Round> {
  const [source, copy, back] = ['source', 'copy', 'back'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const digest = await writeSource(source, mib);
  const copied = await timed(() => copySynced(source, copy));
  const up = await timed(() => upload(storage, source, mib * MIB));
  if (up.result.sha256 !== digest) throw new Error('storage-api holds other bytes than were sent');
  const down = await timed(() => download(storage, up.result.uuid, back));
  if (down.result !== digest) throw new Error('storage-api answered other bytes than it was sent');
  if ((await digestOf(back)) !== digest) throw new Error('What was downloaded is not what is in the file');
  await Promise.all([source, copy, back].map((file) => rm(file)));
  return { copyMs: copied.ms, upMs: up.ms, downMs: down.ms };
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
