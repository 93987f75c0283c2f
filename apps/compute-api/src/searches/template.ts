import { hash } from 'node:crypto';
import {
  issueMessage,
  job,
  learnuplet,
  type OrderSpec,
  PlatformError,
  type Search,
  type SearchArm,
} from '@morpheo/common';
import type { Parameters } from '@morpheo/search';
import type { z } from 'zod';

/** What a template may not have: it is the search's to say. */
const OF_THE_SEARCH = ['uuid', 'output', 'model_end', 'owner', 'group', 'callback'] as const;

/** A run of a trial: one order. */
export interface Run {
  readonly trial: number;
  readonly arm: SearchArm;
  readonly parameters: Parameters;
  readonly resource: number;
  /** What the same trial has left at the rung before; undefined at the first. */
  readonly previous: string | undefined;
}

/** The group that the orders of a search are in. */
export function groupOf(search: string): string {
  return `search-${search}`;
}

/** The id of the order of a run: the same whenever it is asked for. */
export function orderIdOf(search: string, { trial, resource }: Pick<Run, 'trial' | 'resource'>): string {
  return idOf(`order:${search}:${trial}:${resource}`);
}

/** The id of what the order of a run makes. */
export function outputIdOf(search: string, { trial, resource }: Pick<Run, 'trial' | 'resource'>): string {
  return idOf(`output:${search}:${trial}:${resource}`);
}

/** The order of a run, by the template of its search. Throws `invalid_request` where the template makes no order. */
export function orderOf(search: Search, run: Run): OrderSpec {
  return search.learn === undefined ? jobOf(search, run) : learnOf(search, search.learn, run);
}

function jobOf({ uuid, job: template = {}, parameters, resource, previous }: Search, run: Run): OrderSpec {
  refuseOwn('job', template);
  const { inputs = [], env = {}, labels = {} } = template;
  const file = JSON.stringify(fileOf({ parameters, resource }, run));
  const own = [
    { path: parameters.path, inline: Buffer.from(file).toString('base64') },
    ...(previous === undefined || run.previous === undefined
      ? []
      : [{ path: previous, resource: { type: 'output', uuid: run.previous } }]),
  ];
  const variable = resource?.env === undefined ? {} : { [resource.env]: String(run.resource) };
  const parsed = job.safeParse({
    ...template,
    ...{ uuid: orderIdOf(uuid, run), output: outputIdOf(uuid, run), group: groupOf(uuid) },
    // What is no list, or no record, is told by the schema.
    inputs: Array.isArray(inputs) ? [...inputs, ...own] : inputs,
    ...(isRecord(env)
      ? Object.keys({ ...env, ...variable }).length === 0
        ? {}
        : { env: { ...env, ...variable } }
      : { env }),
    labels: isRecord(labels) ? { ...labels, ...labelsOf(run) } : labels,
  });
  if (!parsed.success) throw refusal('job', parsed.error);
  return { kind: 'job', uplet: parsed.data };
}

function learnOf({ uuid, parameters, resource }: Search, template: Parameters, run: Run): OrderSpec {
  refuseOwn('learn', template);
  const parsed = learnuplet.safeParse({
    ...{ status: 'todo', ...template },
    ...{ uuid: orderIdOf(uuid, run), model_end: outputIdOf(uuid, run), group: groupOf(uuid) },
    parameters: JSON.stringify(fileOf({ parameters, resource }, run)),
  });
  if (!parsed.success) throw refusal('learn', parsed.error);
  return { kind: 'learn', uplet: parsed.data };
}

/** What stands in the file of a run. */
function fileOf({ parameters, resource }: Pick<Search, 'parameters' | 'resource'>, run: Run): Parameters {
  const { template = {}, at } = parameters;
  return {
    ...template,
    ...(at === undefined ? run.parameters : { [at]: run.parameters }),
    ...(resource?.member === undefined ? {} : { [resource.member]: run.resource }),
  };
}

function labelsOf({ trial, arm, resource }: Run): Record<string, string> {
  return { 'search.trial': String(trial), 'search.arm': arm, 'search.resource': String(resource) };
}

function refuseOwn(name: 'job' | 'learn', template: Parameters): void {
  const own = OF_THE_SEARCH.find((member) => template[member] !== undefined);
  if (own === undefined) return;
  throw new PlatformError(
    'invalid_request',
    `body.${name}.${own}: should be absent: a search has one of its own for each order`,
  );
}

function refusal(name: 'job' | 'learn', { issues: [issue] }: z.ZodError): PlatformError {
  const path = ['body', name, ...(issue?.path ?? [])].map(String).join('.');
  return new PlatformError(
    'invalid_request',
    `${path}: ${issue === undefined ? 'is none' : issueMessage(issue)}`,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A UUID made of a name (RFC 9562 §5.8). */
function idOf(name: string): string {
  const bytes = hash('sha256', `morpheo search ${name}`, 'buffer').subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
