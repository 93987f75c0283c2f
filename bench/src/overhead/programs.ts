import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { uploadForm } from '@morpheo/client';
import type { Api, StorageContract } from '@morpheo/common';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { timed } from '../bench.ts';

/** What the orders of the benchmark run; all do the least that the container contract asks. */
export type Program = 'problem' | 'algo' | 'job';

/** Uploads a program, and returns its new id. */
export async function uploadProgram(storage: Api<StorageContract>, program: Program): Promise<string> {
  const names = ['Dockerfile', 'main.cjs'];
  const entries = names.map(async (name) => ({ name, body: await readFile(fileOf(program, name)) }));
  const fields = { name: program, ...(program === 'problem' ? { description: program } : {}) };
  const type = program === 'job' ? 'algo' : program;
  return await upload(storage, type, fields, rawTarGz(await Promise.all(entries)));
}

/** Uploads the algorithm that these files of a folder are, and returns its new id. */
export async function uploadAlgo(
  storage: Api<StorageContract>,
  folder: string,
  names: readonly string[],
): Promise<string> {
  const entries = names.map(async (name) => ({ name, body: await readFile(join(folder, name)) }));
  return await upload(storage, 'algo', { name: 'warm' }, rawTarGz(await Promise.all(entries)));
}

/** Uploads a data set, one that is like no other where absent, and returns its new id. */
export async function uploadData(
  storage: Api<StorageContract>,
  bytes: Uint8Array = Buffer.from(`${randomUUID()}\n`),
): Promise<string> {
  return await upload(storage, 'data', {}, bytes);
}

/**
 * Runs the three programs of a learn order one after another, as plain processes on plain folders, without any
 * platform. Returns the milliseconds that takes. Throws where one fails.
 */
export async function timePlainPrograms(folder: string): Promise<number> {
  const places = Object.fromEntries(
    ['hidden', 'submission', 'data'].map((name) => [name, join(folder, name)]),
  );
  const { hidden = '', submission = '', data = '' } = places;
  for (const inside of ['hidden/test', 'hidden/perf', 'submission/test', 'submission/train', 'data/model']) {
    await mkdir(join(folder, inside), { recursive: true });
  }
  for (const inside of ['hidden/test', 'submission/train', 'data/train', 'data/test']) {
    await mkdir(join(folder, inside), { recursive: true });
    await writeFile(join(folder, inside, 'one'), '\n');
  }
  const { ms } = await timed(async () => {
    await run('problem', ['-T', 'detarget', '-i', hidden, '-s', submission]);
    await run('algo', ['-V', data, '-T', 'train']);
    await run('problem', ['-T', 'perf', '-i', hidden, '-s', submission]);
  });
  await rm(folder, { recursive: true });
  return ms;
}

/** Runs the program of jobs on `input` as a plain process; returns the milliseconds that takes. Throws where it fails. */
export async function timePlainJob(folder: string, input: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  const { ms } = await timed(async () => await run('job', [input], { MORPHEO_OUTPUTS: folder }));
  await rm(folder, { recursive: true });
  return ms;
}

async function run(
  program: Program,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = spawn(process.execPath, [fileOf(program, 'main.cjs'), ...args], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...variables },
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`The program ${program} ended with ${code} (${args.join(' ')})`);
}

function fileOf(program: Program, name: string): string {
  return fileURLToPath(new URL(`programs/${program}/${name}`, import.meta.url));
}

/** Uploads bytes with the fields that go with their type, and returns their new id. */
export async function upload(
  storage: Api<StorageContract>,
  type: 'problem' | 'algo' | 'data',
  names: Readonly<Record<string, string>>,
  bytes: Uint8Array,
): Promise<string> {
  const uuid = randomUUID();
  const fields = { uuid, ...names, size: String(bytes.byteLength) };
  await storage.upload({
    params: { type },
    query: {},
    body: uploadForm({ fields, blob: new Blob([new Uint8Array(bytes)]) }),
  });
  return uuid;
}
