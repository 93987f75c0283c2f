import { join } from 'node:path';
import { ROOT } from '../executables/programs.ts';
import type { Owner } from './folder.ts';
import { ask, run, succeeds } from './run.ts';
import type { DevSettings } from './settings.ts';

/** Docker Compose for one platform: the new one (`docker compose`) or Debian's (`docker-compose`, 1.29). */
export class Compose {
  readonly #command: readonly string[];
  readonly #env: Readonly<Record<string, string>>;

  constructor(command: readonly string[], env: Readonly<Record<string, string>>) {
    this.#command = command;
    this.#env = env;
  }

  /** Runs a command of Compose whose output is for the reader. */
  async run(...args: string[]): Promise<void> {
    const [program = '', ...first] = this.#command;
    await run(program, [...first, ...args], { cwd: ROOT, env: this.#env });
  }

  /** The id of the container of a service; empty where there is none. */
  async container(service: string): Promise<string> {
    const [program = '', ...first] = this.#command;
    return await ask(program, [...first, 'ps', '--quiet', service], { cwd: ROOT, env: this.#env });
  }
}

/** Finds Docker Compose. Throws, with how to get it, where there is none. */
export async function findCompose(env: Readonly<Record<string, string>>): Promise<Compose> {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const [program = '', ...first] = command;
    if (await succeeds(program, [...first, 'version'])) return new Compose(command, env);
  }
  throw new Error(
    'Docker Compose is not on this machine: install your system’s docker-compose-v2 or docker-compose ' +
      '(utils/real-parts/install/compose does on Debian).',
  );
}

/** What the compose files leave open, as variables; `COMPOSE_FILE` and `COMPOSE_PROJECT_NAME` are Compose's own. */
export function composeVariables(
  { images, folder, sources, project, ports }: DevSettings,
  { uid, gid }: Owner,
  dindImage: string,
): Record<string, string> {
  const files = ['docker-compose.yml', ...(images ? [] : ['packaging/dev/compose.yml'])];
  return {
    COMPOSE_PROJECT_NAME: project,
    COMPOSE_FILE: [...files, 'packaging/dev/orchestrator.yml'].map((file) => join(ROOT, file)).join(':'),
    MORPHEO_FOLDER: folder,
    MORPHEO_SOURCES: sources,
    MORPHEO_UID: String(uid),
    MORPHEO_GID: String(gid),
    MORPHEO_DIND_IMAGE: dindImage,
    MORPHEO_PORT_COMPUTE: String(ports.compute),
    MORPHEO_PORT_STORAGE: String(ports.storage),
    MORPHEO_PORT_ORCHESTRATOR: String(ports.orchestrator),
    MORPHEO_PORT_NSQADMIN: String(ports.nsqadmin),
    MORPHEO_PORT_SHEPHERD: String(ports.shepherd),
    MORPHEO_PORT_REGISTRY: String(ports.registry),
  };
}
