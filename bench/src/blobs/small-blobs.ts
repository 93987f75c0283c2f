import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { storageClient } from '@morpheo/client';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median, percentile, timed } from '../bench.ts';
import { load } from '../orders/load.ts';
import { startServer } from '../process/start-server.ts';

const SIZES: Readonly<Record<BenchSize, { readonly rounds: number; readonly ms: number }>> = {
  full: { rounds: 5, ms: 2000 },
  quick: { rounds: 3, ms: 1000 },
  tiny: { rounds: 1, ms: 150 },
};
const CALLERS = 16;
const BYTES = 10 * 1024;
/** Blobs in a second. */
const AIM = 1000;

/** Small blobs that storage-api takes in a second, each on disk before its 201, beside the same files without it. */
export async function smallBlobs({ folder, size, say }: BenchContext): Promise<Report> {
  const { rounds, ms } = SIZES[size];
  await using server = await startServer('storage', [join(folder, 'storage')]);
  const how = { url: server.url, path: '/data', callers: CALLERS, ms, ...FORM, next: nextForm };
  await load({ ...how, ms: ms / 2 });
  const plain: number[] = [];
  const ours: {
    readonly perSecond: number;
    readonly cpuMicros: number;
    readonly latencies: readonly number[];
  }[] = [];
  const accepted: string[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    say(`small-blobs: round ${turn + 1} of ${rounds}`);
    plain.push(await plainFiles(join(folder, `plain-${turn}`), ms));
    const before = await server.usage();
    const done = await load(how);
    const after = await server.usage();
    const count = done.accepted.length;
    const cpuMicros = ((after.cpuSeconds - before.cpuSeconds) / count) * 1e6;
    ours.push({ perSecond: count / done.seconds, cpuMicros, latencies: done.latencies });
    accepted.push(...done.accepted);
  }
  await requireStored(server.url, accepted);
  const memory = await server.usage();
  const rate = median(ours.map(({ perSecond }) => perSecond));
  const bare = median(plain);
  const latencies = ours.flatMap((one) => one.latencies);
  return {
    name: 'small-blobs',
    title: `blobs of 10 KiB from ${CALLERS} callers, each on disk before its answer, beside the same files alone`,
    rows: [
      { what: 'files alone, synced', 'blobs/s': bare, ratio: 1, 'p50 ms': '', 'p99 ms': '', 'CPU µs': '' },
      {
        what: 'storage-api',
        'blobs/s': rate,
        ratio: rate / bare,
        'p50 ms': percentile(latencies, 0.5),
        'p99 ms': percentile(latencies, 0.99),
        'CPU µs': median(ours.map(({ cpuMicros }) => cpuMicros)),
      },
    ],
    aims: [{ what: `blobs of 10 KiB in a second at ${CALLERS} callers`, measured: rate, least: AIM }],
    notes: [
      'Files alone: as many writers put each file beside its place, sync it, rename it and sync its folder, in this process.',
      `All ${accepted.length.toLocaleString('en')} blobs that were accepted are there afterwards.`,
      `Memory of the server at its peak: ${Math.round(memory.peakMemoryBytes / 2 ** 20)} MiB.`,
    ],
    bars: [
      { label: 'files alone', value: bare, unit: 'blobs/s', plain: true },
      { label: 'storage-api', value: rate, unit: 'blobs/s', plain: false },
    ],
  };
}

const BOUNDARY = 'bench-small-blobs';
const FORM = { type: `multipart/form-data; boundary=${BOUNDARY}`, status: 201 };

/** A form as clients send it, whose blob nobody has. */
function nextForm(): { readonly id: string; readonly body: string } {
  const id = randomUUID();
  const part = (name: string, value: string) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const blob = randomBytes(BYTES / 2).toString('hex');
  return {
    id,
    body: `${part('uuid', id)}${part('size', String(BYTES))}${part('blob', blob)}--${BOUNDARY}--\r\n`,
  };
}

async function requireStored(url: string, accepted: readonly string[]): Promise<void> {
  const storage = storageClient({ url });
  for (const uuid of accepted) {
    const found = await storage.get({ params: { type: 'data', uuid } });
    if (found.size !== BYTES) throw new Error(`The blob ${uuid} has ${found.size} bytes`);
  }
}

/** How many files a second the disk takes from as many writers, each durable under its name: for `ms` milliseconds. */
async function plainFiles(folder: string, ms: number): Promise<number> {
  const folders = Array.from({ length: 256 }, (_, index) => join(folder, String(index)));
  for (const one of folders) await mkdir(one, { recursive: true });
  let count = 0;
  const { ms: took } = await timed(async () => {
    const until = performance.now() + ms;
    const writer = async () => {
      do await putFile(folder, folders, count++);
      while (performance.now() < until);
    };
    await Promise.all(Array.from({ length: CALLERS }, writer));
  });
  return count / (took / 1000);
}

async function putFile(folder: string, folders: readonly string[], number: number): Promise<void> {
  const bytes = randomBytes(BYTES);
  const into = folders[bytes[0] ?? 0] ?? folder;
  const staged = join(folder, `staged-${number}`);
  {
    await using file = await open(staged, 'wx');
    await file.writeFile(bytes);
    await file.datasync();
  }
  await rename(staged, join(into, String(number)));
  await using handle = await open(into);
  await handle.sync();
}
