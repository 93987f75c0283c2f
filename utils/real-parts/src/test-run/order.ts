import { fromRoot } from './report.ts';

/** The files that take longest, the longest first: those that begin last would run when the others have ended. */
export const LONGEST: readonly string[] = [
  'packaging/src/swarm/swarm.test.ts',
  'apps/compute-worker/src/workflows/hidden-targets.test.ts',
  'apps/compute-worker/src/runtime/docker/docker.test.ts',
  'apps/compute-worker/src/runtime/docker/spares/conformance.test.ts',
  'apps/compute-worker/src/runtime/docker/data/archives.test.ts',
  'apps/compute-worker/src/gpus/docker-gpus.test.ts',
  'apps/compute-worker/src/runtime/docker/hardening/hostile.test.ts',
  'apps/compute-worker/src/workflows/docker.test.ts',
  'apps/compute-worker/src/runners/zeromq/models.test.ts',
  'apps/compute-worker/src/runtime/docker/outage.test.ts',
  'apps/compute-worker/src/runtime/process/process.test.ts',
  'apps/dicebox/src/sensory/killed.test.ts',
  'apps/standalone/src/dicebox/readme.test.ts',
  'apps/standalone/src/faults/killed.test.ts',
  'apps/standalone/src/faults/worker-restart.test.ts',
  'apps/standalone/src/security/openapi-fuzz.test.ts',
  'apps/standalone/src/security/secret-leaks.test.ts',
  'apps/standalone/src/faults/interrupted-uploads.test.ts',
  'apps/standalone/src/faults/nsq-faults.test.ts',
  'apps/standalone/src/faults/takeover.test.ts',
  'libs/service/src/broker/nsq/hearing.test.ts',
];

/** Puts the files that take longest first; the others keep their order. For ava's `sortTestFiles`. */
export function longestFirst(a: string, b: string): number {
  return place(a) - place(b);
}

function place(path: string): number {
  const at = LONGEST.indexOf(fromRoot(path));
  return at === -1 ? LONGEST.length : at;
}
