import { type Dind, type DindOptions, startDind, withParts } from '@morpheo/real-parts';
import ava, { type TestFn } from 'ava';
import type { RuntimeHarness } from '../../conformance/runtime-fixture.ts';
import { dockerHarness, type RuntimeChoice } from './harness.ts';

/** A daemon of a test file's own, and `test` for what needs it: a loud skip where there is no Docker. */
export interface OwnDaemon {
  readonly test: TestFn;
  /** Started by the first who asks. */
  dind(): Promise<Dind>;
  /** A harness on it that shares folders with it, unless the choice says otherwise. */
  harness(choice?: RuntimeChoice): RuntimeHarness;
}

/** To be called once, at the top of a test file: the daemon goes when its tests have ended. */
export function ownDaemon(options: DindOptions = {}): OwnDaemon {
  let started: Promise<Dind> | undefined;
  const dind = async () => {
    started ??= startDind(options);
    return await started;
  };
  ava.after.always('the daemon goes', async () => await (await started)?.[Symbol.asyncDispose]());
  const daemon = async () => {
    const { socketPath, jobs } = await dind();
    return { host: `unix://${socketPath}`, shared: jobs };
  };
  return { test: withParts(ava, 'docker'), dind, harness: (choice) => dockerHarness(daemon, choice) };
}
