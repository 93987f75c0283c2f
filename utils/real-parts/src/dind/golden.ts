import { createHash } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyImages, docker, dockerIfThere, engine } from './docker.ts';
import type { ImageIds } from './lib.ts';
import { createContainer, untilItAnswers } from './outer.ts';
import { LABELS, removeFolder, removeOrphans, self } from './owner.ts';

const PREFIX = 'morpheo-dind-golden-';
const PATIENCE_MS = 300_000;

/**
 * The name of a volume with a daemon's folder that holds these images, made once for all tests on the machine. Whoever
 * creates the container of its name makes it; the others wait for that.
 */
export async function goldenVolume(image: string, images: ImageIds): Promise<string> {
  const key = createHash('sha256')
    .update(JSON.stringify([...images]))
    .digest('hex')
    .slice(0, 12);
  const name = `${PREFIX}${key}`;
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isThere(`${name}-done`))) {
    if (Date.now() > deadline) {
      throw new Error(`Nobody finishes the volume ${name}: remove the container of that name.`);
    }
    if (!(await make(name, image, [...images.keys()]))) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      await removeOrphans();
    }
  }
  return name;
}

/** Puts a copy of one volume into another, whatever was there before; no container may use that one. */
export async function cloneVolume(image: string, from: string, to: string): Promise<void> {
  const script = 'find /to -mindepth 1 -maxdepth 1 -exec rm -rf {} + && cp -a /from/. /to/';
  const volumes = ['--volume', `${from}:/from:ro`, '--volume', `${to}:/to`];
  // The marks that overlays put on folders are shown to SYS_ADMIN alone.
  const rights = ['--network', 'none', '--cap-add', 'SYS_ADMIN', '--entrypoint', '/bin/sh'];
  await docker('run', '--rm', ...rights, ...volumes, image, '-c', script);
}

/** Whether this process made it: false where another one does. */
async function make(name: string, image: string, tags: readonly string[]): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-dind-'));
  try {
    const labels = { [LABELS.owner]: self(), [LABELS.folder]: folder, [LABELS.volumes]: name };
    const args = [
      '--name',
      name,
      '--image',
      image,
      '--lib',
      name,
      '--socket',
      folder,
      '--jobs',
      `${folder}:/jobs`,
    ];
    const container = await createContainer([...args, '--memory', '1g', '--cpus', '2'], labels);
    if (container === undefined) return false;
    const socketPath = join(folder, 'docker.sock');
    await docker('start', container);
    await untilItAnswers(container, () => engine(socketPath, 'GET', '/_ping'));
    await copyImages(tags, socketPath);
    await docker('stop', '--time', '20', container);
    await docker('volume', 'create', `${name}-done`);
    await docker('rm', container);
  } finally {
    await removeFolder(folder, image);
  }
  await removeOthers(name);
  return true;
}

async function removeOthers(name: string): Promise<void> {
  const names = await docker('volume', 'ls', '--quiet', '--filter', `name=^${PREFIX}`);
  for (const other of names.split('\n').filter((found) => found && !found.startsWith(name))) {
    await dockerIfThere('volume', 'rm', other);
  }
}

function isThere(volume: string): Promise<boolean> {
  return docker('volume', 'inspect', volume).then(
    () => true,
    () => false,
  );
}
