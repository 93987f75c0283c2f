import { execFileSync } from 'node:child_process';
import { posix } from 'node:path';
import { requireProgram } from '@morpheo/real-parts';
import { z } from 'zod';
import type { ImagePlan, StagePlan } from '../plan/plan-image.ts';
import { type BaseConfig, NOTHING } from '../plan/stage-reader.ts';

/** What every image says of itself that a generated Dockerfile names. */
export const BASE: BaseConfig = {
  ...NOTHING,
  environment: new Map([
    ['PATH', '/usr/bin:/bin'],
    ['FROM_BASE', 'yes'],
  ]),
  workingFolder: '/base',
};

const IMAGE = {
  architecture: 'amd64',
  os: 'linux',
  config: { Env: ['PATH=/usr/bin:/bin', 'FROM_BASE=yes'], WorkingDir: '/base' },
  // One without layers is taken for `scratch`.
  rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
};

const copy = z.object({
  From: z.unknown().optional(),
  Src: z.string(),
  Dest: z.string(),
  Mode: z.number(),
  Owner: z.string().optional(),
});
const exec = z.object({
  args: z.array(z.string()),
  env: z.array(z.string()).default([]),
  cwd: z.string(),
  user: z.string().default(''),
});
const action = z.object({
  Image: z.string().optional(),
  Exec: exec.optional(),
  Mkdir: z.string().optional(),
  Copy: copy.optional(),
  Other: z.string().optional(),
});
const answer = z.object({
  Error: z.string().optional(),
  Chain: z.array(action).default([]),
  Config: z
    .object({
      Env: z.array(z.string()).default([]),
      Entrypoint: z.array(z.string()).nullish(),
      WorkingDir: z.string().default(''),
      Volumes: z.record(z.string(), z.unknown()).default({}),
      Labels: z.record(z.string(), z.string()).default({}),
    })
    .optional(),
});

/** What a reader makes of a Dockerfile, in a form that both readers have: an error, or what is done, line by line. */
export type Reading =
  | { readonly error: string }
  | { readonly steps: readonly string[]; readonly config: Config };

/** What the image says of itself. */
export interface Config {
  readonly environment: Readonly<Record<string, string>>;
  readonly entryPoint: readonly string[];
  readonly workingFolder: string;
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** What BuildKit makes of Dockerfiles. */
export function readByBuildKit(texts: readonly string[]): readonly Reading[] {
  const input = texts.map((text) =>
    JSON.stringify({ Dockerfile: Buffer.from(text).toString('base64'), Base: IMAGE }),
  );
  const options = { input: input.join('\n'), encoding: 'utf8', maxBuffer: 2 ** 30 } as const;
  const printed = execFileSync(requireProgram('dockerfile-reader'), options);
  return printed
    .trimEnd()
    .split('\n')
    .map((line) => theirs(answer.parse(JSON.parse(line))));
}

function theirs({ Error: error, Chain, Config: config }: z.infer<typeof answer>): Reading {
  if (error !== undefined) return { error };
  const volumes = Object.keys(config?.Volumes ?? {}).map(plain);
  return {
    steps: chainText(Chain),
    config: {
      environment: sorted(config?.Env ?? []),
      entryPoint: config?.Entrypoint ?? [],
      workingFolder: plain(config?.WorkingDir ?? ''),
      volumes: volumes.toSorted((a, b) => (a < b ? -1 : 1)),
      labels: config?.Labels ?? {},
    },
  };
}

function chainText(chain: readonly z.infer<typeof action>[]): string[] {
  return chain.flatMap(({ Image, Exec, Mkdir, Copy, Other }) => {
    if (Image !== undefined)
      return [`from ${Image.replace(/^docker-image:\/\//, '').replace(/@sha256.*$/, '')}`];
    if (Exec !== undefined)
      return [
        runText({
          words: Exec.args,
          environment: sorted(Exec.env),
          folder: plain(Exec.cwd),
          user: Exec.user,
        }),
      ];
    if (Mkdir !== undefined) return [`folder ${Mkdir}`];
    if (Copy === undefined) return [`other ${Other}`];
    const from = Copy.From === undefined ? 'context' : chainText(z.array(action).parse(Copy.From)).join('; ');
    const target = {
      source: Copy.Src,
      destination: Copy.Dest.replace(/\/\.$/, '/'),
      mode: Copy.Mode,
      owner: Copy.Owner,
    };
    return [copyText(from, target)];
  });
}

/** What we make of it, in the same form. */
export function ours(plan: ImagePlan): Reading {
  const last = plan.stages.at(-1);
  const { environment, entryPoint, workingFolder = '/', volumes, labels } = plan.config;
  return {
    steps: last === undefined ? [] : stageText(last, plan.stages),
    config: {
      environment: sorted([...environment].map(([name, value]) => `${name}=${value}`)),
      entryPoint,
      workingFolder,
      volumes: volumes.toSorted((a, b) => (a < b ? -1 : 1)),
      labels: Object.fromEntries(labels),
    },
  };
}

function stageText({ base, actions }: StagePlan, stages: readonly StagePlan[]): string[] {
  const byIndex = (index: number) => {
    const stage = stages.find((other) => other.index === index);
    return stage === undefined ? ['a stage that is not there'] : stageText(stage, stages);
  };
  const before =
    base.kind === 'image'
      ? [`from ${fullName(base.name)}`]
      : base.kind === 'stage'
        ? byIndex(base.index)
        : [];
  const done = actions.flatMap((one) => {
    if (one.kind === 'folder') return [`folder ${one.path}`];
    if (one.kind === 'run') {
      const environment = sorted([...one.environment].map(([name, value]) => `${name}=${value}`));
      return [runText({ words: one.words, environment, folder: one.workingFolder, user: one.user ?? '' })];
    }
    const from =
      one.from === undefined
        ? 'context'
        : one.from.kind === 'image'
          ? `from ${fullName(one.from.name)}`
          : byIndex(one.from.index).join('; ');
    const destination = one.intoFolder && one.destination !== '/' ? `${one.destination}/` : one.destination;
    const target = { destination, mode: one.mode ?? -1, owner: one.owner };
    return one.sources.map((source) =>
      copyText(from, { ...target, source: source === '.' ? '/' : `/${source}` }),
    );
  });
  return [...before, ...done];
}

function runText(run: {
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly user: string;
}): string {
  return `run ${JSON.stringify(run)}`;
}

function copyText(
  from: string,
  copied: { source: string; destination: string; mode: number; owner: string | undefined },
): string {
  const { source, destination, mode, owner = '' } = copied;
  const [user = '', group = user] = owner.split(':');
  const whole = owner === '' ? '' : `${user}:${group || user}`;
  return `copy ${JSON.stringify({ from, source, destination, mode, owner: whole })}`;
}

function fullName(name: string): string {
  const [first = '', ...rest] = name.split('/');
  const hasHost = rest.length > 0 && /[.:]|^localhost$/.test(first);
  const long = hasHost ? name : `docker.io/${rest.length === 0 ? 'library/' : ''}${name}`;
  return /:[^/]*$/.test(long) ? long : `${long}:latest`;
}

/** The shortest spelling of a path. */
function plain(path: string): string {
  const short = posix.normalize(path).replace(/^\/\//, '/');
  return short.length > 1 ? short.replace(/\/+$/, '') : short;
}

function sorted(variables: readonly string[]): Readonly<Record<string, string>> {
  const pairs = variables.map(
    (text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] as const,
  );
  return Object.fromEntries(new Map(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))));
}
