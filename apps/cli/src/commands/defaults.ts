import { MOST_GPUS } from '@morpheo/common';
import { type Command, Option } from 'commander';
import type { Context, Runner } from '../context.ts';
import { examples, readInteger, readUuid } from './arguments.ts';

/** Adds `morpheo defaults`. */
export function addDefaults(program: Command, run: Runner): void {
  const command = program
    .command('defaults')
    .summary('show or set what orders of a problem ask for where they do not say')
    .description(
      'Show, or set, what orders of a problem ask for where they do not say. It holds for orders to come.',
    )
    .argument(
      '<problem>',
      "the problem: the orchestrator's id, or that of the workflow where orders name no other",
      readUuid,
    )
    .addOption(new Option('--gpus <n>', 'how many GPUs').argParser(readInteger(0, MOST_GPUS)))
    .action(run(defaults));
  examples(command, [
    ['morpheo defaults 7d4a1c7e-6c1b-4c55-9d7a-5d9b0a5be002', 'what it is'],
    ['morpheo defaults 7d4a1c7e-6c1b-4c55-9d7a-5d9b0a5be002 --gpus 1', 'a GPU for each of its orders'],
  ]);
}

async function defaults(
  { terminal, compute, signal }: Context,
  problem: string,
  { gpus }: { gpus?: number },
): Promise<undefined> {
  const params = { problem };
  const now =
    gpus === undefined
      ? await compute().getProblemDefaults({ params }, { signal })
      : await compute().setProblemDefaults({ params, body: { gpus } }, { signal });
  await terminal.result(now, () => `${terminal.paint('dim', 'gpus')}  ${now.gpus}`);
}
