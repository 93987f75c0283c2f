import { VERSION } from '@morpheo/common';
import { type Settings, unusedFlags } from '../config/index.ts';
import { createLog, type Log, type LogFields, type LogLevel, standardOutput } from '../log/index.ts';
import { createMetrics, type Metrics } from '../metrics/index.ts';
import { type Tracer, type TraceSettings, tracerOf } from '../trace/index.ts';
import type { RunningService } from './run-service.ts';
import { watchSecrets } from './watch-secrets.ts';

/** What a service has from its very start. */
export interface ServiceTools {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  /** What is put on it is closed when the service is, last first; and at once where the start fails. */
  readonly stack: AsyncDisposableStack;
}

/** A service that was opened. */
export interface OpenedService {
  /** Takes nothing new and resolves when what is under way has ended. */
  drain(): Promise<void>;
  /** What the line `ready` says, for instance the address. */
  readonly ready: LogFields;
}

/** What {@link startService} needs to know of the settings. */
export type ServiceConfig = TraceSettings & { readonly logLevel: LogLevel } & Readonly<
    Record<string, unknown>
  >;

/** What {@link startService} is given. */
export interface StartService<Config> {
  readonly name: string;
  /** Those of the settings that have no use here; that one of them was given is logged. */
  readonly unused?: Settings;
  /** Opens the service; all that has to be closed goes onto the stack. */
  readonly open: (config: Config, tools: ServiceTools) => Promise<OpenedService>;
}

/**
 * Starts a service as its settings say, with its log, metrics and tracer, and secrets that follow their files; undefined where there are none, for only
 * help or a check was asked for (see `settingsOrCheck`). What was opened is closed again where the start fails.
 */
export async function startService<Config extends ServiceConfig>(
  config: Config | undefined,
  { name, unused = {}, open }: StartService<Config>,
): Promise<RunningService | undefined> {
  if (config === undefined) return undefined;
  const log = createLog({ service: name, level: config.logLevel });
  const given = unusedFlags(unused, config);
  if (given.length > 0) log.warn({ unused: given }, 'Flags of the original are given that have no use here');
  await using stack = new AsyncDisposableStack();
  stack.use(await watchSecrets(config, { log }));
  const tracer = stack.use(await tracerOf(config, { service: name, version: VERSION, log }));
  const metrics = createMetrics({ process: true });
  countDroppedLines(metrics);
  const service = await open(config, { log, metrics, tracer, stack });
  const opened = stack.move();
  return {
    drain: async () => await service.drain(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
    ready: service.ready,
    log,
  };
}

function countDroppedLines(metrics: Metrics): void {
  const dropped = metrics.counter({
    name: 'morpheo_log_lines_dropped_total',
    help: 'Lines of the log that could not be written',
  });
  let counted = 0;
  const refresh = async (): Promise<void> => {
    const now = standardOutput().dropped;
    dropped.add({}, now - counted);
    counted = now;
  };
  metrics.onScrape({ everyMs: 0, refresh });
}
