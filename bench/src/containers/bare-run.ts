import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { timed } from '../bench.ts';
import type { Engine } from './engine.ts';
import type { SeenContainer } from './seen-containers.ts';

const waited = z.object({ StatusCode: z.number() });
/** Data that an algorithm may write beside; all other data is mounted to be read alone. */
const WRITABLE_DATA: readonly string[] = ['/data/train', '/data/test'];

/**
 * Creates a container like one that the worker made, starts it, waits for its end and removes it, by the daemon's API
 * and nothing else; what it mounts is made before, in `folder`, which the daemon sees at the same path: what it
 * may only read is a copy of the file `input`, where there is one. Returns the
 * milliseconds from the first call to the last answer. Throws unless the program ends well.
 */
export async function timeBareRun(
  engine: Engine,
  seen: SeenContainer,
  folder: string,
  input?: string,
): Promise<number> {
  const place = join(folder, randomUUID());
  const mounts = seen.HostConfig.Mounts.map((mount) => ({ ...mount, Source: join(place, mount.Target) }));
  for (const { Source, Target, ReadOnly } of mounts) {
    const isInput = ReadOnly === true;
    if (isInput && input !== undefined) await placeInput(input, Source);
    else await makeFolder(Source, isInput || WRITABLE_DATA.includes(Target));
  }
  const path = `/containers/bare-${randomUUID()}`;
  const name = path.split('/').at(-1);
  const { ms } = await timed(async () => {
    await engine.ask('POST', `/containers/create?name=${name}`, {
      ...seen.Config,
      Labels: {},
      HostConfig: { ...seen.HostConfig, Mounts: mounts },
    });
    const exit = engine.ask('POST', `${path}/wait?condition=next-exit`);
    await engine.ask('POST', `${path}/start`);
    const { StatusCode: code } = waited.parse(await exit);
    await engine.ask('DELETE', `${path}?force=1&v=1`);
    if (code !== 0) throw new Error(`A container like the worker's ended with ${code}`);
  });
  await rm(place, { recursive: true });
  return ms;
}

async function placeInput(input: string, at: string): Promise<void> {
  await mkdir(dirname(at), { recursive: true });
  await copyFile(input, at);
}

/** A folder that the user of the containers may write to, with a file where data belongs. */
async function makeFolder(folder: string, hasData: boolean): Promise<void> {
  await mkdir(folder, { recursive: true });
  // Whatever the umask is.
  await chmod(folder, 0o777);
  if (hasData) await writeFile(join(folder, 'one'), '\n');
}
