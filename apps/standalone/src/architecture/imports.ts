import { dirname, posix } from 'node:path';
import { sourcesOf, type Tree } from './tree.ts';

/** The packages by level: each may import those of the levels below it, and nothing beside or above. */
const LEVELS: readonly (readonly string[])[] = [
  ['libs/common', 'libs/search'],
  ['libs/service', 'libs/client'],
  [
    'apps/compute-api',
    'apps/compute-worker',
    'apps/storage-api',
    'apps/shepherd-api',
    'apps/dicebox',
    'apps/cli',
  ],
  // Of real-parts, what is below uses nothing but in tests.
  ['apps/standalone', 'utils/real-parts'],
  ['simulation'],
  ['chaos', 'bench', 'packaging', 'examples/digits', 'programs/picture-trainer'],
];

/** What may be imported where alone: a file, or a folder with its slash. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  koa: ['libs/service/src/http/', 'bench/src/servers/'],
  '@koa/router': ['libs/service/src/http/'],
  '@koa/cors': ['libs/service/src/http/'],
  'rate-limiter-flexible': ['libs/service/src/http/'],
  'swagger-ui-dist': ['libs/service/src/http/'],
  'prom-client': ['libs/service/src/metrics/'],
  pino: ['libs/service/src/log/'],
  'node:sqlite': ['libs/service/src/database/', 'bench/src/'],
  pg: ['libs/service/src/database/', 'utils/real-parts/src/', 'bench/src/'],
  jose: ['libs/service/src/http/access/'],
  nsqjs: ['libs/service/src/broker/'],
  '@opentelemetry': ['libs/service/src/trace/'],
  '@aws-sdk': ['libs/service/src/buckets/', 'utils/real-parts/src/', 'bench/src/'],
  'tus-js-client': ['apps/cli/src/transfer/'],
  dockerode: ['apps/compute-worker/src/runtime/'],
  commander: ['libs/service/src/config/', 'apps/cli/src/', 'simulation/src/', 'chaos/src/'],
  'tar-stream': ['libs/service/src/archive/'],
  'cli-progress': ['apps/cli/src/terminal/'],
  'cli-table3': ['apps/cli/src/terminal/', 'bench/src/'],
  'eventsource-parser': ['libs/client/src/'],
  '@sinonjs/fake-timers': ['simulation/src/'],
  sharp: ['apps/dicebox/src/pixels/'],
  yaml: ['libs/service/src/yaml/'],
  esbuild: ['packaging/src/', 'utils/real-parts/src/packages/'],
  postject: ['packaging/src/executables/'],
  '@tensorflow': ['programs/picture-trainer/src/engine.ts', 'programs/picture-trainer/src/kernels/'],
  'get-port': ['utils/real-parts/src/'],
  ava: ['chaos/src/', 'utils/real-parts/src/test-run/'],
};

const IMPORT = /^(?:import|export)\s(?:[^;'"]*?from\s+)?['"](?<from>[^'"]+)['"]/gm;
const LAZY = /\bimport\(\s*['"](?<from>[^'"]+)['"]\s*\)/g;

/** The rules of the house that `files` (source by path from the root) break, a sentence each; tests may do more. */
export function violations(files: Tree): string[] {
  const sources = [...sourcesOf(files)];
  const imports = new Map(sources.map(([path, source]) => [path, importsOf(source)]));
  return [...imports]
    .flatMap(([path, list]) => list.flatMap((from) => broken(path, from)))
    .concat(
      cycles(new Map([...imports].map(([path, list]) => [path, importedFiles(path, list, files)]))),
      sources.flatMap(([path, source]) => environment(path, source)),
    );
}

function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT), ...source.matchAll(LAZY)].map(({ groups }) => groups?.from ?? '');
}

function broken(path: string, from: string): string[] {
  const doors = Object.entries(DOORS).find(([name]) => from === name || from.startsWith(`${name}/`))?.[1];
  if (doors !== undefined && !doors.some((door) => path === door || path.startsWith(door))) {
    return [`${path} imports ${from}, which has its door at ${doors.join(' and ')}`];
  }
  const own = packageOf('.', path);
  if (own === undefined) return [`${path} is in no package of the table of levels`];
  const target = packageOf(from, path);
  if (target === undefined || target === own) return [];
  if (levelOf(target) < levelOf(own)) return [];
  return [`${path} imports ${target}, which is not below ${own}`];
}

function packageOf(from: string, path: string): string | undefined {
  if (from.startsWith('@morpheo/')) {
    return LEVELS.flat().find((name) => name.split('/').at(-1) === from.split('/')[1]);
  }
  if (!from.startsWith('.')) return undefined;
  const target = posix.join(dirname(path), from);
  return LEVELS.flat().find((name) => `${target}/`.startsWith(`${name}/`));
}

function levelOf(name: string): number {
  return LEVELS.findIndex((names) => names.includes(name));
}

function importedFiles(path: string, list: readonly string[], files: Tree): string[] {
  return list
    .filter((from) => from.startsWith('.'))
    .map((from) => posix.join(dirname(path), from))
    .filter((target) => files.has(target));
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const closed: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path))
      closed.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
    if (done.has(path) || trail.includes(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return closed;
}

/** Programs of the upper packages are started by themselves; what is shipped reads its surroundings in one place. */
function environment(path: string, source: string): string[] {
  if (!/^(?:apps|libs)\//.test(path) || /\/main\.ts$/.test(path)) return [];
  if (!/\bprocess\.(env|argv)\b/.test(source)) return [];
  return [`${path} reads the environment or the arguments, which main.ts alone hands on`];
}
