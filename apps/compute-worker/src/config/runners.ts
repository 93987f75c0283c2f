import { defineSettings, duration, type SettingsOf, size } from '@morpheo/service/config';
import { z } from 'zod';
import { DEFAULT_RUNNER_LIMITS, type RunnerLimits } from '../runners/settings.ts';

const { most, memoryBytes, idleMs, waitMs, startMs, queue, calls, ageMs } = DEFAULT_RUNNER_LIMITS;

/** The settings of warm runners. */
export const runnerSettings = defineSettings({
  runners: {
    flag: 'runners',
    env: 'MORPHEO_WORKER_RUNNERS',
    schema: z.coerce.number().int().min(0).max(1000),
    default: most,
    help: 'How many warm runners there are at a time, programs that stay and answer one call after the other; 0: none.',
  },
  runnerMemory: {
    flag: 'runner-memory',
    env: 'MORPHEO_WORKER_RUNNER_MEMORY',
    schema: size,
    default: memoryBytes,
    help: 'What these may have of memory together, such as 16GiB; each counts as what it may use.',
  },
  runnerIdle: {
    flag: 'runner-idle',
    env: 'MORPHEO_WORKER_RUNNER_IDLE',
    schema: duration,
    default: idleMs,
    help: 'How long one of these stays that has no call, such as 10m.',
  },
  runnerWait: {
    flag: 'runner-wait',
    env: 'MORPHEO_WORKER_RUNNER_WAIT',
    schema: duration,
    default: waitMs,
    help: 'How long a call waits for room or a free runner before it fails, such as 15m.',
  },
  runnerStart: {
    flag: 'runner-start',
    env: 'MORPHEO_WORKER_RUNNER_START',
    schema: duration,
    default: startMs,
    help: 'How long a runner may take until it asks for its first call, such as 10m.',
  },
  runnerQueue: {
    flag: 'runner-queue',
    env: 'MORPHEO_WORKER_RUNNER_QUEUE',
    schema: z.coerce.number().int().min(1).max(100_000),
    default: queue,
    help: 'How many calls wait for one kind of runner at a time; others are refused.',
  },
  runnerCalls: {
    flag: 'runner-calls',
    env: 'MORPHEO_WORKER_RUNNER_CALLS',
    schema: z.coerce.number().int().min(1).max(1_000_000),
    default: calls,
    help: 'After how many calls a runner ends.',
  },
  runnerAge: {
    flag: 'runner-age',
    env: 'MORPHEO_WORKER_RUNNER_AGE',
    schema: duration,
    default: ageMs,
    help: 'How long after its start a runner ends, such as 1h.',
  },
});

/** The bounds that the settings say. */
export function runnerLimitsOf(config: SettingsOf<typeof runnerSettings>): RunnerLimits {
  return {
    most: config.runners,
    memoryBytes: config.runnerMemory,
    idleMs: config.runnerIdle,
    waitMs: config.runnerWait,
    startMs: config.runnerStart,
    queue: config.runnerQueue,
    calls: config.runnerCalls,
    ageMs: config.runnerAge,
  };
}
