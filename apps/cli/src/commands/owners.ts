import { MOST_WEIGHT } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { examples, readInteger } from './arguments.ts';

/** Adds `morpheo owners`. */
export function addOwners(program: Command, run: Runner): void {
  const command = program
    .command('owners')
    .summary("show or set an owner's weight")
    .description(
      "Show, or set, an owner's weight: while several owners have due orders, each gets claims in proportion to it.",
    )
    .argument('<owner>', 'the name that its orders come with; anonymous for those without credentials')
    .option('--weight <n>', 'the weight (1 where it was never set)', readInteger(1, MOST_WEIGHT))
    .action(run((context, owner: string, options: { weight?: number }) => owners(context, owner, options)));
  examples(command, [
    ['morpheo owners lab', 'what it is'],
    ['morpheo owners lab --weight 3', 'three claims for each one of an owner of weight 1'],
  ]);
}

async function owners(
  { terminal, compute, signal }: Context,
  owner: string,
  { weight }: { weight?: number },
): Promise<undefined> {
  const params = { owner };
  const now =
    weight === undefined
      ? await compute().getOwner({ params }, { signal })
      : await compute().setOwner({ params, body: { weight } }, { signal });
  await terminal.result(now, () => `${terminal.paint('dim', 'weight')}  ${now.weight}`);
}
