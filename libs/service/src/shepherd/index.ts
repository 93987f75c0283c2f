import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errnoOf, PlatformError, sheepId } from '@morpheo/common';
import { z } from 'zod';
import { Secret } from '../config/index.ts';
import type { LogLevel } from '../log/index.ts';
import { type Misfit, readYaml } from '../yaml/index.ts';

export { sheepLabels } from '@morpheo/common';

/** A sheep: where one job after another is worked on. */
export type Sheep = DockerSheep | BareSheep;

interface AnySheep {
  readonly id: string;
  /** Where its program listens; in a container it is always 9999. */
  readonly port: number;
  /** The indexes of its GPUs, such as 0 for `/dev/nvidia0`. */
  readonly gpus: readonly number[];
}

/** A sheep that runs images of the registry. */
export interface DockerSheep extends AnySheep {
  readonly type: 'docker';
}

/** A sheep that runs a program of its operator, as it is, on the machine of the worker. */
export interface BareSheep extends AnySheep {
  readonly type: 'bare';
  /** The program and its first arguments; `shepherd-runner` where the file does not say. */
  readonly program: readonly string[];
  /** These are absolute: in the file they may be relative to the folder in which its reader was started. */
  readonly workingDirectory: string;
  readonly stdoutFile: string | undefined;
  readonly stderrFile: string | undefined;
}

/** What a configuration of Shepherd says. */
export interface ShepherdFile {
  /** The folder of what is kept here. */
  readonly dataRoot: string;
  /** Where buckets are; absent: in a folder. `url` has its scheme. */
  readonly storage:
    | { readonly url: string; readonly accessKey: string; readonly secretKey: Secret }
    | undefined;
  readonly registry:
    | {
        /** With its scheme. */
        readonly url: string;
        readonly credentials: { readonly username: string; readonly password: Secret } | undefined;
      }
    | undefined;
  readonly logLevel: Exclude<LogLevel, 'silent'>;
  /** In the order of the file. */
  readonly sheep: readonly Sheep[];
}

/**
 * Reads the configuration of Shepherd as it is. Rejects with `invalid_request` that names the line of each problem and
 * contradiction.
 */
export async function readShepherdFile(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ShepherdFile> {
  return parseShepherdFile(await textOf(file), file, env);
}

/** As {@link readShepherdFile}, of a text; `file` is what errors call it. */
export function parseShepherdFile(
  text: string,
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): ShepherdFile {
  const { value, refuse } = readYaml({ text, file, env, schema });
  const { storage, registry } = value;
  const wrong = contradictions(value);
  if (wrong.length > 0) throw refuse(wrong);
  return {
    dataRoot: value.data_root,
    storage:
      storage == null
        ? undefined
        : {
            url: withScheme(storage.url),
            accessKey: storage.access_key,
            secretKey: new Secret(storage.secret_key),
          },
    registry: registry == null ? undefined : registryOf(registry),
    logLevel: LEVELS[value.logging?.level ?? 'info'],
    sheep: Object.entries(value.sheep).map(([id, sheep]) => sheepOf(id, sheep)),
  };
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const why = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : 'it cannot be read';
    throw new PlatformError('invalid_request', `The configuration ${file}: ${why}.`, { cause });
  }
}

const LEVELS = { debug: 'debug', info: 'info', warning: 'warn', error: 'error', critical: 'error' } as const;
const words = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);
const text = words.pipe(z.string().min(1, 'should not be empty'));
const port = z.coerce.number('should be a port').int().min(1).max(65_535);

const device = z
  .string()
  .regex(
    /^\/dev\/nvidia(?:\d+|ctl|-[a-z-]+)$/,
    'should be a GPU such as /dev/nvidia0: nothing else of a machine is lent to jobs',
  );

const ofAny = { port, devices: z.array(device).nullish() };

const sheep = z.discriminatedUnion(
  'type',
  [
    z.strictObject({
      type: z.literal('docker'),
      ...ofAny,
      /** The original leaves containers behind where it is false; ours always go. */
      autoremove_containers: z.boolean().nullish(),
    }),
    z.strictObject({
      type: z.literal('bare'),
      ...ofAny,
      working_directory: text,
      stdout_file: text.nullish(),
      stderr_file: text.nullish(),
      /** Ours: the original knows one program. */
      program: z.union([text.transform((line) => line.trim().split(/\s+/)), z.array(text).min(1)]).nullish(),
    }),
  ],
  { error: 'should have a type, which is docker or bare' },
);

const address = text.refine(
  (url) => URL.canParse(withScheme(url)) && /^https?:$/.test(new URL(withScheme(url)).protocol),
  'should be an address such as http://127.0.0.1:9000',
);

const schema = z.strictObject({
  data_root: text,
  storage: z.strictObject({ url: address, access_key: text, secret_key: text }).nullish(),
  registry: z.strictObject({ url: address, username: text.nullish(), password: text.nullish() }).nullish(),
  logging: z
    .strictObject({
      level: z
        .string()
        .toLowerCase()
        .pipe(z.enum(Object.keys(LEVELS) as (keyof typeof LEVELS)[]))
        .default('info'),
    })
    .nullish(),
  sheep: z
    .record(sheepId, sheep)
    .refine((all) => Object.keys(all).length > 0, 'should have at least one sheep'),
});

function contradictions({ sheep: all, registry }: z.output<typeof schema>): Misfit[] {
  const sheep = Object.entries(all);
  const found: Misfit[] = [];
  for (const [index, [id, one]] of sheep.entries()) {
    if (one.type === 'docker' && registry == null) {
      const message =
        'it runs images of a registry, and none is configured: give registry, or make it a bare one';
      found.push({ path: ['sheep', id], message });
    }
    const other = sheep.slice(0, index).find(([, { port }]) => port === one.port)?.[0];
    if (other !== undefined)
      found.push({ path: ['sheep', id, 'port'], message: `${other} has the same port` });
    const { devices } = one;
    const twice = devices?.findIndex((device, at) => devices.indexOf(device) < at) ?? -1;
    if (twice >= 0)
      found.push({
        path: ['sheep', id, 'devices', twice],
        message: 'is there twice: a sheep has a GPU once',
      });
  }
  if (registry != null && (registry.username == null) !== (registry.password == null)) {
    const message = 'username and password belong together: give both, or neither';
    found.push({ path: ['registry'], message });
  }
  return found;
}

/** The original takes an address without a scheme for one without TLS. */
function withScheme(url: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url}`;
}

function registryOf({ url, username, password }: NonNullable<z.output<typeof schema>['registry']>) {
  const isNamed = username != null && password != null;
  return {
    url: withScheme(url),
    credentials: isNamed ? { username, password: new Secret(password) } : undefined,
  };
}

function sheepOf(id: string, sheep: z.output<typeof schema>['sheep'][string]): Sheep {
  const gpus = (sheep.devices ?? []).flatMap((device) => {
    const [, index] = /^\/dev\/nvidia(\d+)$/.exec(device) ?? [];
    return index === undefined ? [] : [Number(index)];
  });
  const any = { id, port: sheep.port, gpus };
  if (sheep.type === 'docker') return { ...any, type: 'docker' };
  return {
    ...any,
    type: 'bare',
    program: sheep.program ?? ['shepherd-runner'],
    workingDirectory: resolve(sheep.working_directory),
    stdoutFile: fileOf(sheep.stdout_file),
    stderrFile: fileOf(sheep.stderr_file),
  };
}

function fileOf(path: string | null | undefined): string | undefined {
  return path == null ? undefined : resolve(path);
}
