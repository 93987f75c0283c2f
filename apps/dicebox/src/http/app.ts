import type { RequestListener } from 'node:http';
import { type Contract, DICEBOX_DIALECTS, type DiceboxDialect, diceboxContract } from '@morpheo/common';
import { createHttpApp, type HttpApp, type ServeOptions } from '@morpheo/service/http';
import { commonRoutes } from './common-routes.ts';
import { type ApiKey, keyAdmission, withKey } from './keys.ts';
import { joinSets, type RouteSet } from './route-set.ts';

/** What both dialects are served with. */
export interface DialectOptions
  extends Omit<ServeOptions<Contract>, 'contract' | 'api' | 'admitClassic' | 'cors' | 'anonymousIntake'> {
  readonly sets: readonly RouteSet[];
  readonly isSensory: boolean;
  readonly apiKey?: ApiKey | undefined;
  /** The version that is told, and whose dialect is spoken with who asks for none, or for one that is not spoken. */
  readonly apiVersion: string;
  readonly versions: ReadonlyMap<string, DiceboxDialect>;
}

/** Serves both dialects, each as an app of its own, and chooses by the field `API-VERSION` before anything else. */
export function createDiceboxApp(options: DialectOptions): HttpApp {
  const { versions, apiVersion } = options;
  const usual = versions.get(apiVersion) ?? '2019';
  const apps = { '2017': appOf('2017', options), '2019': appOf('2019', options) };
  const handle: RequestListener = (request, response) => {
    const { 'api-version': asked } = request.headers;
    const dialect = (typeof asked === 'string' ? versions.get(asked) : undefined) ?? usual;
    apps[dialect].handle(request, response);
  };
  const all = DICEBOX_DIALECTS.map((dialect) => apps[dialect]);
  return {
    handle,
    descriptors: apps[usual].descriptors,
    endStreams: () => {
      for (const app of all) app.endStreams();
    },
    abort: () => {
      for (const app of all) app.abort();
    },
  };
}

function appOf(
  dialect: DiceboxDialect,
  { sets, isSensory, apiKey, apiVersion, versions, ...options }: DialectOptions,
): HttpApp {
  const { endpoints, api } = joinSets([commonRoutes({ dialect, apiVersion, isSensory }), ...sets]);
  return createHttpApp({
    ...options,
    authenticate: withKey(options.authenticate, apiKey),
    contract: diceboxContract(endpoints[dialect]),
    api,
    admitClassic: keyAdmission({ dialect, versions, apiKey, authenticate: options.authenticate }),
    anonymousIntake: false,
    cors: true,
  });
}
