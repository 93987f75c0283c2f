import { setTimeout as pause } from 'node:timers/promises';
import { isPlatformError } from '@morpheo/common';
import { createLog, type Log, type LogFields } from '../log/index.ts';
import { StopRequests } from './stop-requests.ts';

/** A service that has started. Draining and closing are separate steps: what drains still needs what will be closed. */
export interface RunningService {
  /** Takes nothing new and resolves when what is under way has ended. */
  drain(): Promise<void>;
  /** Closes everything, the intake first; gives up what has not ended. */
  [Symbol.asyncDispose](): Promise<void>;
  /** What the line `ready` says, for instance the address. */
  readonly ready?: LogFields;
  /** The service's own log, once its settings are known; used from here on. */
  readonly log?: Log;
}

/** What {@link runService} is given. */
export interface RunService {
  readonly name: string;
  /**
   * Starts the service, or returns undefined where there is nothing to run (help was printed). The signal is aborted
   * when the process is told to stop before the service has started; later, `drain` is what tells it.
   */
  readonly start: (signal: AbortSignal) => Promise<RunningService | undefined>;
  /** For what happens before the service has a log of its own; standard output where absent. */
  readonly log?: Log;
  /** How long draining may take, in milliseconds; 30,000 where absent. */
  readonly drainMs?: number;
  /** How long closing may take, in milliseconds; 10,000 where absent. */
  readonly closeMs?: number;
  /** How long the process may go on after closing before it is ended by force, in milliseconds; 5,000 where absent. */
  readonly exitMs?: number;
}

/**
 * Runs a service as the last call of its `main.ts`, and resolves when it has ended.
 *
 * SIGTERM, SIGINT or SIGHUP drains (with a deadline) and then closes it; a second one closes it at once. An error that nobody
 * caught is logged, and closes it too. The exit code is 0 after a stop that was asked for, 2 where the settings are
 * wrong (`invalid_request`), 1 for every other failure; the process ends by itself once nothing is left to do, and by
 * force, naming what is still open, where it does not.
 */
export async function runService(options: RunService): Promise<void> {
  let log = options.log ?? createLog({ service: options.name });
  using stops = new StopRequests(() => log);
  const service = await startService(options, stops, log);
  if (service !== undefined) {
    log = service.log ?? log;
    log.info({ ...service.ready }, 'ready');
    const reason = await stops.asked;
    log.info({ reason }, 'stopping');
    await drainService(service, stops, log, options.drainMs ?? 30_000);
    await closeService(service, log, options.closeMs ?? 10_000);
    log.info({}, 'stopped');
  }
  endByForce(log, options.exitMs ?? 5_000);
}

async function startService(
  options: RunService,
  stops: StopRequests,
  log: Log,
): Promise<RunningService | undefined> {
  const told = new AbortController();
  const starting = (async () => await options.start(told.signal))();
  const settled = starting.then(
    () => undefined,
    () => undefined,
  );
  void Promise.race([settled, stops.asked]).then((reason) => {
    if (reason !== undefined)
      told.abort(new Error(`${options.name} was told to stop while it started: ${reason}`));
  });
  const hurried = stops.hurried.then((reason) =>
    Promise.reject(new Error(`told to stop at once: ${reason}`)),
  );
  try {
    return await Promise.race([starting, hurried]);
  } catch (error) {
    if (told.signal.aborted) log.info({ reason: String(error) }, 'stopped before it had started');
    else reportFailure(options.name, log, error);
    return undefined;
  }
}

/** One line a person can act upon for an error that we know; the whole error for one that we do not. */
function reportFailure(name: string, log: Log, error: unknown): void {
  process.exitCode = isPlatformError(error, 'invalid_request') ? 2 : 1;
  if (isPlatformError(error)) process.stderr.write(`${name} cannot start. ${error.message}\n`);
  else log.error({ error }, 'could not start');
}

async function drainService(
  service: RunningService,
  stops: StopRequests,
  log: Log,
  drainMs: number,
): Promise<void> {
  const drain = attempt(() => service.drain(), log, 'draining failed');
  const hurried = stops.hurried.then((reason) => `told to stop at once: ${reason}`);
  const cut = await within(
    Promise.race([drain, hurried]),
    drainMs,
    `draining took longer than ${drainMs} ms`,
  );
  if (cut !== undefined) log.warn({ reason: cut }, 'not everything was drained');
}

async function closeService(service: RunningService, log: Log, closeMs: number): Promise<void> {
  const close = attempt(() => service[Symbol.asyncDispose](), log, 'closing failed');
  const cut = await within(close, closeMs, `closing took longer than ${closeMs} ms`);
  if (cut === undefined) return;
  process.exitCode = 1;
  log.error({ reason: cut }, 'not everything was closed');
}

async function attempt(step: () => Promise<void>, log: Log, failure: string): Promise<undefined> {
  try {
    await step();
  } catch (error) {
    process.exitCode = 1;
    log.error({ error }, failure);
  }
  return undefined;
}

/** What the promise resolves with, or `late` where it takes longer than `ms` milliseconds. */
async function within<T>(promise: Promise<T>, ms: number, late: string): Promise<T | string> {
  const over = new AbortController();
  const deadline = pause(ms, late, { signal: over.signal }).catch(() => late);
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    over.abort();
  }
}

/** The last resort: does nothing where the process ends by itself, as it should. */
function endByForce(log: Log, exitMs: number): void {
  setTimeout(() => {
    log.error(
      { open: process.getActiveResourcesInfo() },
      'something is still open; the process is ended by force',
    );
    process.exit(process.exitCode ?? 1);
  }, exitMs).unref();
}
