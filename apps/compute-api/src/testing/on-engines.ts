import { onEngines, type TestPlace } from '@morpheo/service/database/testing';
import test, { type ExecutionContext } from 'ava';
import type { ComputeSettings } from '../config.ts';
import { migrations } from '../db/migrations.ts';
import type { Schema } from '../db/schema.ts';
import { openTestCompute, type TestCompute } from './open-test-compute.ts';

/** Opens a compute-api on an empty database of its own; `settings` are merged over quick ones. */
export type OpenTestCompute = (settings?: Partial<ComputeSettings>) => Promise<TestCompute>;

const everywhere = onEngines<Schema>(test, { owner: 'compute_api', migrations });

/** Registers a test for each engine that the machine has; the test opens its compute-api by what it is given. */
export function testOnEngines(
  title: string,
  run: (t: ExecutionContext, openTestCompute: OpenTestCompute, engine: string) => Promise<void>,
): void {
  everywhere(
    title,
    async (t, engine) =>
      await run(
        t,
        async (settings) => {
          await using stack = new AsyncDisposableStack();
          const place: TestPlace<Schema> = stack.use(await engine.place());
          const compute = stack.use(await openTestCompute(settings, await place.open()));
          const opened = stack.move();
          return { ...compute, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
        },
        engine.name,
      ),
  );
}
