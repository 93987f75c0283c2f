import { z } from 'zod';
import { docker, engine } from './docker.ts';

const Containers = z.array(z.object({ Id: z.string() }));
const Images = z.array(z.object({ Id: z.string(), RepoTags: z.array(z.string()).nullable() }));
const Volumes = z.object({ Volumes: z.array(z.object({ Name: z.string() })).nullable() });

/** Images by tag: their ids. */
export type ImageIds = ReadonlyMap<string, string>;

/** The ids that these tags have on the host's daemon; undefined where one of them is not there. */
export async function hostImages(tags: readonly string[]): Promise<ImageIds | undefined> {
  try {
    const ids = await docker('image', 'inspect', '--format', '{{.Id}}', ...tags);
    return new Map(ids.split('\n').map((id, index) => [tags[index] ?? '', id]));
  } catch {
    return undefined;
  }
}

/** Removes every container, volume and image behind the socket, apart from the images of `keep`. */
export async function clean(socketPath: string, keep: ImageIds): Promise<void> {
  for (const { Id } of Containers.parse(await engine(socketPath, 'GET', '/containers/json?all=1'))) {
    await engine(socketPath, 'DELETE', `/containers/${Id}?force=1&v=1`);
  }
  const { Volumes: volumes } = Volumes.parse(await engine(socketPath, 'GET', '/volumes'));
  for (const { Name } of volumes ?? []) {
    await engine(socketPath, 'DELETE', `/volumes/${encodeURIComponent(Name)}?force=1`);
  }
  for (const reference of (await images(socketPath)).filter((name) => !keep.has(name))) {
    await engine(socketPath, 'DELETE', `/images/${encodeURIComponent(reference)}?force=1`).catch(
      () => undefined,
    );
  }
  await engine(socketPath, 'POST', '/build/prune?all=1');
  await engine(socketPath, 'POST', `/images/prune?filters=${encodeURIComponent('{"dangling":["true"]}')}`);
}

/** Whether the daemon behind the socket has exactly these images, no container and no volume. */
export async function isClean(socketPath: string, wanted: ImageIds): Promise<boolean> {
  const containers = Containers.parse(await engine(socketPath, 'GET', '/containers/json?all=1'));
  const { Volumes: volumes } = Volumes.parse(await engine(socketPath, 'GET', '/volumes'));
  const list = Images.parse(await engine(socketPath, 'GET', '/images/json'));
  const found = list.flatMap(({ Id, RepoTags }) => (RepoTags ?? [Id]).map((tag) => [tag, Id] as const));
  return (
    containers.length === 0 &&
    (volumes ?? []).length === 0 &&
    found.length === wanted.size &&
    found.every(([tag, id]) => wanted.get(tag) === id)
  );
}

/** Every tag, and the id of what has none. */
async function images(socketPath: string): Promise<string[]> {
  const list = Images.parse(await engine(socketPath, 'GET', '/images/json'));
  return list.flatMap(({ Id, RepoTags }) => {
    const tags = (RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
    return tags.length > 0 ? tags : [Id];
  });
}
