import { once } from 'node:events';
import { PlatformError } from '@morpheo/common';
import { createLog } from '../log/index.ts';
import { type RunningService, runService } from './index.ts';

// A service that does what its first argument says, for the tests of runService.
const scenario = process.argv[2] ?? '';
const log = createLog({ service: 'fixture' });
const never = new Promise<void>(() => {});
const alive = setInterval(() => {}, 60_000);

/** Starts that do not lead to a running service. */
const starts: Readonly<Record<string, (signal: AbortSignal) => Promise<undefined>>> = {
  help: async () => undefined,
  settings: () => Promise.reject(new PlatformError('invalid_request', '--port: "x" is no number; give one.')),
  away: () => Promise.reject(new PlatformError('unavailable', 'The database does not answer; start it.')),
  bug: () => Promise.reject(new TypeError('undefined is not a function')),
  slow: async (signal) => {
    log.info({}, 'starting');
    await once(signal, 'abort');
    throw signal.reason;
  },
};

const service: RunningService = {
  ready: { port: 8081 },
  log: log.child({ own: true }),
  drain: async () => {
    log.info({}, 'draining');
    if (scenario === 'drain hangs') await never;
    if (scenario === 'drain fails') throw new Error('drain on purpose');
    log.info({}, 'drained');
  },
  [Symbol.asyncDispose]: async () => {
    if (scenario === 'close hangs') await never;
    if (scenario !== 'leak') clearInterval(alive);
    log.info({}, 'closed');
  },
};

async function start(signal: AbortSignal): Promise<RunningService | undefined> {
  const special = starts[scenario];
  if (special !== undefined) {
    clearInterval(alive);
    const beating = setInterval(() => {}, 60_000);
    return await special(signal).finally(() => clearInterval(beating));
  }
  if (scenario === 'throws') setTimeout(() => void Promise.resolve().then(crash), 1);
  if (scenario === 'throws synchronously') setTimeout(crash, 1);
  return service;
}

function crash(): never {
  throw new Error('crash on purpose');
}

await runService({
  name: 'fixture',
  start,
  drainMs: scenario === 'drain hangs' && process.argv[3] !== 'patiently' ? 50 : 60_000,
  closeMs: scenario === 'close hangs' ? 50 : 60_000,
  exitMs: scenario === 'leak' || scenario === 'close hangs' ? 50 : 60_000,
});
