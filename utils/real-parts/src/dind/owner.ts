import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { docker, dockerIfThere } from './docker.ts';

/** The labels of a daemon's container: whose it is, and what goes with it. */
export const LABELS = {
  owner: 'morpheo.dind.owner',
  folder: 'morpheo.dind.folder',
  volumes: 'morpheo.dind.volumes',
  network: 'morpheo.dind.network',
} as const;

/** This process, so that nobody takes a later one with the same number for it. */
export function self(): string {
  return `${hostname()} ${process.pid} ${startOf(process.pid)}`;
}

/** A name for a platform of Docker Compose that a test of this process starts: one of {@link removeOrphanProjects}. */
export function testProject(name: string): string {
  return `morpheo-test-${process.pid}-${startOf(process.pid)}-${name}`;
}

/**
 * Removes the platforms of Docker Compose that tests have left whose process is gone, with all that they had: Docker
 * would start them again with each start of its daemon.
 */
export async function removeOrphanProjects(): Promise<void> {
  const label = 'com.docker.compose.project';
  const list = await docker(
    ...['ps', '--all', '--filter', `label=${label}`],
    ...['--format', `{{.Label "${label}"}}`],
  );
  for (const project of new Set(list.split('\n'))) {
    const [, pid, start] = /^morpheo-test-(\d+)-(\d+)-/.exec(project) ?? [];
    if (start === undefined || startOf(Number(pid)) === start) continue;
    const all = ['--filter', `label=${label}=${project}`, '--quiet'];
    for (const id of lines(await docker('ps', '--all', ...all)))
      await dockerIfThere('rm', '--force', '--volumes', id);
    for (const id of lines(await docker('network', 'ls', ...all))) await dockerIfThere('network', 'rm', id);
    for (const id of lines(await docker('volume', 'ls', ...all))) await dockerIfThere('volume', 'rm', id);
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter(Boolean);
}

/** Removes the daemons of tests whose process is gone, with all that they had. */
export async function removeOrphans(): Promise<void> {
  const fields = [
    '{{.ID}}',
    '{{.Image}}',
    ...Object.values(LABELS).map((label) => `{{.Label "${label}"}}`),
  ].join('\t');
  const list = await docker('ps', '--all', '--filter', `label=${LABELS.owner}`, '--format', fields);
  for (const line of lines(list)) {
    const [id = '', image = '', owner = '', folder = '', volumes = '', network = ''] = line.split('\t');
    if (isAlive(owner)) continue;
    await dockerIfThere('rm', '--force', '--volumes', id);
    for (const volume of volumes.split(' ').filter(Boolean)) await dockerIfThere('volume', 'rm', volume);
    if (network) await dockerIfThere('network', 'rm', network);
    if (folder) await removeFolder(folder, image).catch(() => undefined);
  }
}

/** Removes a folder in which containers wrote: what they made is root's, so a container removes it if need be. */
export async function removeFolder(folder: string, image: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch {
    const all = ['-mindepth', '1', '-maxdepth', '1', '-exec', 'rm', '-rf', '{}', '+'];
    const volume = `${folder}:/folder`;
    const rights = ['--network', 'none', '--entrypoint', 'find'];
    await docker('run', '--rm', ...rights, '--volume', volume, image, '/folder', ...all);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the process is there; of another machine's nothing is known, so it is taken to be. */
function isAlive(owner: string): boolean {
  const [host, pid = '', start] = owner.split(' ');
  return host !== hostname() || (start !== '' && startOf(Number(pid)) === start);
}

/** When a process started, in the kernel's ticks; empty where there is none. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; what follows it does not.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
