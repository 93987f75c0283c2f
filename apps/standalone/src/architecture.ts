import { dirname, posix } from 'node:path';

/** The packages by level: each may import those of the levels below it, and nothing beside or above. */
const LEVELS: readonly (readonly string[])[] = [
  ['libs/common'],
  ['libs/service', 'libs/client'],
  ['apps/compute-api', 'apps/compute-worker', 'apps/storage-api', 'apps/cli'],
  ['apps/standalone'],
];

/** What may be imported where alone: a file, or a folder with its slash. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  koa: ['libs/service/src/http/'],
  '@koa/router': ['libs/service/src/http/'],
  '@koa/cors': ['libs/service/src/http/'],
  'rate-limiter-flexible': ['libs/service/src/http/'],
  'swagger-ui-dist': ['libs/service/src/http/'],
  'prom-client': ['libs/service/src/metrics/'],
  pino: ['libs/service/src/log/'],
  'node:sqlite': ['libs/service/src/database/'],
  pg: ['libs/service/src/database/'],
  nsqjs: ['libs/service/src/broker/'],
  '@opentelemetry': ['libs/service/src/trace/'],
  '@aws-sdk': ['apps/storage-api/src/blob-store/'],
  'tus-js-client': ['apps/cli/src/transfer/'],
  dockerode: ['apps/compute-worker/src/container-runtime/'],
  commander: ['libs/service/src/config/', 'apps/cli/src/'],
  'tar-stream': ['apps/compute-worker/src/archive/', 'apps/cli/src/archive/'],
  'dockerfile-ast': ['apps/compute-worker/src/container-runtime/'],
  'cli-progress': ['apps/cli/src/terminal/'],
  'cli-table3': ['apps/cli/src/terminal/'],
  'eventsource-parser': ['libs/client/src/'],
};

const IMPORT = /^(?:import|export)\s(?:[^;'"]*?from\s+)?['"](?<from>[^'"]+)['"]/gm;
const LAZY = /\bimport\(\s*['"](?<from>[^'"]+)['"]\s*\)/g;

/** What only tests run. */
const TESTING = /\.test\.|\.fixture\.|\/testing|\/conformance/;

/** The rules of the house that `files` (source by path from the root) break, a sentence each; tests may do more. */
export function violations(files: ReadonlyMap<string, string>): string[] {
  const sources = [...files].filter(([path]) => !TESTING.test(path));
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
  const target = packageOf(from, path);
  const own = packageOf('.', path);
  if (target === undefined || own === undefined || target === own) return [];
  if (levelOf(target) < levelOf(own)) return [];
  return [`${path} imports ${target}, which is not below ${own}`];
}

function packageOf(from: string, path: string): string | undefined {
  const place = from.startsWith('.') ? posix.join(dirname(path), from) : from.replace(/^@morpheo\//, '*/');
  return LEVELS.flat().find((name) =>
    place.startsWith('*/') ? name.split('/')[1] === place.split('/')[1] : `${place}/`.startsWith(`${name}/`),
  );
}

function levelOf(name: string): number {
  return LEVELS.findIndex((names) => names.includes(name));
}

function importedFiles(path: string, list: readonly string[], files: ReadonlyMap<string, string>): string[] {
  return list
    .filter((from) => from.startsWith('.'))
    .map((from) => posix.join(dirname(path), from))
    .filter((target) => files.has(target));
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path))
      found.push(`import cycle: ${[...way.slice(way.indexOf(path)), path].join(' → ')}`);
    if (done.has(path) || way.includes(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

function environment(path: string, source: string): string[] {
  if (/\/main\.ts$/.test(path) || !/\bprocess\.(env|argv)\b/.test(source)) return [];
  return [`${path} reads the environment or the arguments, which main.ts alone hands on`];
}
