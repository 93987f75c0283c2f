import type { Settings } from './settings.ts';

/** Variables and their values. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line tool reads (`morpheo --help`): services pass it over, for people set it for all they start. */
const OF_THE_COMMAND_LINE: ReadonlySet<string> = new Set([
  'MORPHEO_STORAGE_URL',
  'MORPHEO_COMPUTE_URL',
  'MORPHEO_ORCHESTRATOR_URL',
]);

/**
 * What Kubernetes sets in each container for each Service of its namespace (Docker's links, from which that comes): of
 * a Service named `morpheo-storage` they begin as our own variables do.
 */
const OF_KUBERNETES =
  /_SERVICE_(?:HOST|PORT(?:_[A-Z\d_]+)?)$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/;
const ADDRESS_OF_KUBERNETES = /^(?:tcp|udp|sctp):\/\//;

/** The variables without those that others have set for purposes of their own. */
export function ownVariables(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value = '']) =>
        !OF_THE_COMMAND_LINE.has(name) &&
        !OF_KUBERNETES.test(name) &&
        !(name.endsWith('_PORT') && ADDRESS_OF_KUBERNETES.test(value)),
    ),
  );
}

/** The variables that begin with the prefix and that no setting knows, as problems. */
export function unknownVariables(settings: Settings, prefix: string, env: Environment): string[] {
  const known = new Set(
    Object.values(settings).flatMap((setting) =>
      setting.secret === true ? [setting.env, `${setting.env}_FILE`] : [setting.env],
    ),
  );
  return Object.entries(env)
    .filter(
      ([name, value]) => name.startsWith(prefix) && !known.has(name) && value !== undefined && value !== '',
    )
    .map(([name]) => `${name}: there is no such setting; correct its name or unset it.`);
}
