import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PAGE, type Search, type TrialView } from '@morpheo/common';
import { populationsOf, searchSpec, type Trial, writePopulation } from '@morpheo/search';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { CliError, EXIT } from '../../exit-codes.ts';
import { resolveSearch } from '../../platform/ids.ts';
import { pages } from '../../platform/pages.ts';
import { counted } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';
import { networkIn } from './search-file.ts';

/** Adds `morpheo search population`. */
export function addPopulation(group: Command, run: Runner): void {
  const command = group
    .command('population')
    .summary('write the networks of a search as the files that dicebox has')
    .description(
      'Write the networks that a search has tried as <folder>/<search>/<generation>/population.json, in the form of dicebox: a generation each under the strategy dicebox, else one of all trials, the best first. "morpheo search run --population" reads such files.',
    )
    .argument('<search>', 'its id, or the beginning of it')
    .argument('<folder>', 'the folder that they are written below')
    .action(run(exportPopulations));
  examples(command, [['morpheo search population 6c7a ./populations', 'the networks of a search, as files']]);
}

async function exportPopulations(context: Context, id: string, folder: string): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const uuid = await resolveSearch(context, id);
  const params = { uuid };
  const file = await compute().getSearchFile({ params }, { signal });
  const name = networkIn(file.space);
  if (name === undefined)
    throw new CliError(
      EXIT.refused,
      `The search ${uuid} has no networks: its space has no parameter of that kind.`,
    );
  const read = async (cursor: string | undefined) =>
    await compute().listTrials({ params, query: { limit: PAGE.most, cursor } }, { signal });
  const found = (await Array.fromAsync(pages(read))).flatMap(({ items }) => items);
  const generations = populationsOf(searchSpec.parse(specOf(file)), found.map(trialOf), name);
  const written: { readonly path: string; readonly networks: number }[] = [];
  for (const [generation, members] of generations.entries()) {
    const at = join(folder, uuid, String(generation));
    await mkdir(at, { recursive: true });
    const path = join(at, 'population.json');
    await writeFile(path, `${JSON.stringify(writePopulation(members), null, 2)}\n`);
    written.push({ path, networks: members.length });
  }
  await terminal.result({ items: written }, () =>
    written.map(({ path, networks }) => `${path}  ${counted(networks, 'network')}`).join('\n'),
  );
}

function specOf({ objective, ...file }: Search): unknown {
  return { ...file, objective: { goal: objective.goal } };
}

function trialOf({ trial, arm, parameters, rungs }: TrialView): Trial {
  const ended = rungs.filter(({ result }) => result !== undefined);
  return {
    ...{ number: trial, arm, parameters },
    rungs: ended.map(({ resource, value, failed, seconds }) => ({
      resource,
      ...(value === undefined ? {} : { value }),
      ...(failed === undefined ? {} : { failed }),
      ...(seconds === undefined ? {} : { seconds }),
    })),
  };
}
