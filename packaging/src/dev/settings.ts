import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../executables/programs.ts';

const WORKS = ['up', 'logs', 'down', 'prepare'] as const;

/** What is asked for: the platform up, what it says, the platform down, or only what it needs made. */
export type Work = (typeof WORKS)[number];

/** The platform in containers, on this machine. */
export interface DevSettings {
  readonly work: Work;
  /** Run the images that `make all-docker` made, in place of the sources. */
  readonly images: boolean;
  /** The folder of secrets, of `connection.json` and of what the stand-in orchestrator keeps. */
  readonly folder: string;
  /** The checkout that the services run from. */
  readonly sources: string;
  /** The first part of the names of containers and volumes: two platforms on one machine need two. */
  readonly project: string;
  readonly ports: Ports;
}

/** The ports of this machine that are taken, all of its loopback. */
export interface Ports {
  readonly compute: number;
  readonly storage: number;
  readonly orchestrator: number;
  readonly nsqadmin: number;
  readonly shepherd: number;
  readonly registry: number;
}

const OPTIONS = {
  images: { type: 'boolean', default: false },
  folder: { type: 'string', default: '.morpheo/dev' },
  sources: { type: 'string', default: '.' },
  project: { type: 'string', default: 'morpheo' },
  'compute-port': { type: 'string', default: '8081' },
  'storage-port': { type: 'string', default: '8082' },
  'nsqadmin-port': { type: 'string', default: '8085' },
  'orchestrator-port': { type: 'string', default: '5000' },
  // The stand-in orchestrator has Shepherd's usual one.
  'shepherd-port': { type: 'string', default: '5001' },
  'registry-port': { type: 'string', default: '6000' },
} as const;

const USAGE = `Usage: main.ts up|logs|down|prepare [--images] [--folder F] [--sources F] [--project NAME]
  [--compute-port N] [--storage-port N] [--nsqadmin-port N] [--orchestrator-port N]
  [--shepherd-port N] [--registry-port N]`;

/** Reads the arguments; paths are from the root of the repository. Throws with the usage where they do not fit. */
export function readSettings(argv: readonly string[]): DevSettings {
  const { values, positionals } = parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  const work = WORKS.find((name) => name === positionals[0]);
  if (work === undefined || positionals.length > 1) throw new Error(USAGE);
  return {
    work,
    images: values.images,
    folder: resolve(ROOT, values.folder),
    sources: resolve(ROOT, values.sources),
    project: values.project,
    ports: {
      compute: portOf(values['compute-port']),
      storage: portOf(values['storage-port']),
      orchestrator: portOf(values['orchestrator-port']),
      nsqadmin: portOf(values['nsqadmin-port']),
      shepherd: portOf(values['shepherd-port']),
      registry: portOf(values['registry-port']),
    },
  };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`${text} is no port.\n${USAGE}`);
  return port;
}
