import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PlatformError } from '@morpheo/common';
import type { BareSheep } from '@morpheo/service/shepherd';
import type { OwnProgram } from '../runners/index.ts';
import { openPortDoor } from '../runners/zeromq/dial.ts';
import type { RunnerSpec, RunOptions, RunResult } from '../runtime/index.ts';
import { MARKER } from '../runtime/process/family.ts';
import { gpuVariables } from '../runtime/process/gpus.ts';
import { runProcess } from '../runtime/process/run.ts';

/** What the programs of bare sheep are started with. */
export interface BareOptions {
  /** What their processes are found by, after `MORPHEO_RUN=`: of this worker alone. */
  readonly marker: string;
  /** The variables that they have. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * The program of a bare sheep, which its operator has on this machine, for a model: it is told its port and the path of the
 * model's configuration in its working directory, as the original tells it.
 */
export function bareProgram(sheep: BareSheep, config: string, options: BareOptions): OwnProgram {
  return {
    run: async (spec, running) => await run(sheep, config, options, spec, running),
    openDoor: async (door) => await openPortDoor(door, sheep.port),
  };
}

async function run(
  { program: [program = '', ...first], port, workingDirectory, stdoutFile, stderrFile }: BareSheep,
  config: string,
  { marker: begin, environment }: BareOptions,
  { labels, limits, scratch, mounts, gpus = [], writable }: RunnerSpec,
  options: RunOptions,
): Promise<RunResult> {
  const marker = `${begin}${labels.runner}:${randomBytes(8).toString('hex')}`;
  await using stdout = await fileFor(stdoutFile);
  await using stderr = stderrFile === stdoutFile ? undefined : await fileFor(stderrFile);
  const files = { stdout, stderr: stderr ?? (stderrFile === undefined ? undefined : stdout) };
  const command = {
    ...{ program, name: program, args: [...first, '-p', String(port), config], folder: workingDirectory },
    environment: { ...environment, ...gpuVariables(gpus), TMPDIR: writable.tmp, [MARKER]: marker },
  };
  const folders = [
    scratch,
    writable.tmp,
    ...mounts.flatMap(({ host, readOnly }) => (readOnly ? [] : [host])),
  ];
  return await runProcess(
    { command, limits, folders, mounts, marker },
    {
      ...options,
      onOutput: async (chunk) => {
        await files[chunk.stream]?.appendFile(chunk.bytes);
        await options.onOutput(chunk);
      },
    },
  );
}

async function fileFor(path: string | undefined): Promise<FileHandle | undefined> {
  if (path === undefined) return undefined;
  try {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, 'a');
  } catch (cause) {
    const message = `The output of a bare sheep cannot be written to ${path}: correct stdout_file or stderr_file.`;
    throw new PlatformError('unavailable', message, { cause });
  }
}
