import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rawTarGz } from '@morpheo/service/archive/testing';
import type { TestOrder } from './memory-compute.ts';

/** Whose a mark is: one word, so that a find says what was found. */
export type MarkOwner =
  | 'target'
  | 'shown'
  | 'train'
  | 'problem'
  | 'algo'
  | 'neighbour'
  | 'carried'
  | 'model'
  | 'given';

/** A random text that is nowhere else, of the form that the prober looks for. */
export function newMark(owner: MarkOwner): string {
  return `${owner}-mark-${randomBytes(16).toString('hex')}`;
}

/** What goes with a {@link proberArchive}. */
export interface ProberOptions {
  /** It stands in a file of the archive, beside the program. */
  readonly mark: string;
  /** Whether it looks around while it is built as well; for runtimes that carry out RUN lines. */
  readonly probesBuild?: boolean;
  /** Variables of the program; see prober.ts. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The build context of the prober: it may be a problem or an algorithm. */
export function proberArchive({ mark, probesBuild = false, env = {} }: ProberOptions): Buffer {
  const lines = [
    'FROM node:24-slim',
    ...Object.entries(env).map(([name, value]) => `ENV ${name}=${value}`),
    'COPY main.ts mark.txt /app/',
    ...(probesBuild ? ['RUN node --no-warnings /app/main.ts', 'VOLUME /keep'] : []),
    'ENTRYPOINT ["node", "--no-warnings", "/app/main.ts"]',
  ];
  return rawTarGz([
    { name: 'Dockerfile', body: `${lines.join('\n')}\n` },
    { name: 'main.ts', body: readFileSync(join(import.meta.dirname, 'prober.ts')) },
    { name: 'mark.txt', body: mark },
  ]);
}

/** A mark that a prober has found, and where. */
export interface Find {
  readonly mark: string;
  readonly at: string;
}

/** What the prober found in a step of an order. Throws where it did not get as far as to tell. */
export function findsOf(order: TestOrder, step: string): Find[] {
  const said = order.log.filter((chunk) => chunk.step === step).map(({ text }) => text);
  const text = said.join('');
  if (!text.includes('walked {')) throw new Error(`The prober did not walk in ${step}: ${text}`);
  // A line of a build says in front whose build it is.
  return [...text.matchAll(/^(?:\w+ \| )?found (\S+) at (.+)$/gm)].map(([, mark = '', at = '']) => ({
    mark,
    at,
  }));
}

/** Whose marks were found in a step, each once, sorted. */
export function ownersOf(order: TestOrder, step: string): string[] {
  return [...new Set(findsOf(order, step).map(({ mark }) => mark.replace(/-.*/, '')))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
}
