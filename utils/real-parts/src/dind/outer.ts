import { fileURLToPath } from 'node:url';
import { docker, output } from './docker.ts';

const SCRIPTS = fileURLToPath(new URL('../../../dind-daemon/', import.meta.url));
const PATIENCE_MS = 120_000;

/** Where the stand-ins for NVIDIA's programs are. */
export const fakes = `${SCRIPTS}testing/`;

/** The image of the daemon: one built from the sources as they are, else one made of this machine's programs. */
export function dindImage(): Promise<string> {
  return output(`${SCRIPTS}build`, ['--present']);
}

/** Makes sure that the host's daemon has these base images. */
export async function ensureBaseImages(tags: readonly string[]): Promise<void> {
  await output(fileURLToPath(new URL('../../../base-images/ensure', import.meta.url)), tags);
}

/** Creates a daemon's container by the same script as operators do; undefined where its name is taken. */
export async function createContainer(
  args: readonly string[],
  labels: Readonly<Record<string, string>>,
  further: readonly string[] = [],
): Promise<string | undefined> {
  const labelled = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
  try {
    return await output(`${SCRIPTS}run`, [
      '--create',
      ...args,
      '--',
      '--no-healthcheck',
      ...labelled,
      ...further,
    ]);
  } catch (error) {
    if (/is already in use by container/.test(String(error))) return undefined;
    throw error;
  }
}

/** Resolves once `ask` does; throws with the container's log where it ends or stays silent for two minutes. */
export async function untilItAnswers(container: string, ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await ask();
      return;
    } catch (cause) {
      const isGone = attempt % 20 === 0 && (await stateOf(container)) !== 'running';
      if (isGone || Date.now() > deadline) {
        throw new Error(`The daemon in ${container} does not answer:\n${await log(container)}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** What Docker says of the container: `created`, `running`, `paused`, `exited`. */
export function stateOf(container: string): Promise<string> {
  return docker('inspect', '--format', '{{.State.Status}}', container);
}

/** The end of what the daemon printed. */
async function log(container: string): Promise<string> {
  return output('sh', ['-c', 'docker logs --tail 20 "$1" 2>&1', 'sh', container]);
}
