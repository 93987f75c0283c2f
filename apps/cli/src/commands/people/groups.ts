import { type Group, PAGE } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { pages } from '../../platform/pages.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { oneLine } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

/** Adds `morpheo groups`. */
export function addGroups(program: Command, run: Runner): void {
  const groups = program
    .command('groups')
    .summary('list and change groups of people, to share things with all of them at once')
    .description(
      'Groups of people. What is granted to a group its members may use, from the moment that they are in it until ' +
        'they are not. It takes the role admin, except to see a group that you are in. Groups of orders are another ' +
        'thing: "morpheo group".',
    );
  groups
    .command('list', { isDefault: true })
    .summary('list the groups')
    .description('List the groups with their members.')
    .action(run(list));
  groups
    .command('show')
    .summary('show one group')
    .description('Show the members of a group.')
    .argument('<group>', 'its name')
    .action(run(show));
  groups
    .command('add')
    .summary('add people to a group, which is made where it is not there')
    .description('Add people to a group, which is made where it is not there.')
    .argument('<group>', 'its name; no dot, colon, space or slash')
    .argument('[people...]', 'their names')
    .action(run(add));
  groups
    .command('take')
    .summary('take people out of a group')
    .description('Take people out of a group: they lose what is granted to it.')
    .argument('<group>', 'its name')
    .argument('<people...>', 'their names')
    .action(run(take));
  groups
    .command('delete')
    .summary('delete a group, with all that was granted to it')
    .description('Delete a group, with all that was granted to it.')
    .argument('<group>', 'its name')
    .action(run(remove));
  examples(groups, [
    ['morpheo groups add vision ann bob', 'ann and bob may use what is granted to group:vision'],
    ['morpheo groups take vision bob', 'bob may no more'],
    ['morpheo groups', 'which groups there are'],
  ]);
}

const COLUMNS: readonly Column[] = [{ title: 'group' }, { title: 'members' }];

async function list({ terminal, storage, signal }: Context): Promise<undefined> {
  const all = pages((cursor) => storage().listGroups({ query: { limit: PAGE.most, cursor } }, { signal }));
  const items = (await Array.fromAsync(all)).flatMap((page) => page.items);
  await terminal.result({ items }, () =>
    items.length === 0
      ? 'There are no groups yet. Make one with "morpheo groups add".'
      : layOut(terminal.paint, COLUMNS, items.map(cellsOf)),
  );
}

async function show(context: Context, name: string): Promise<undefined> {
  const { storage, signal } = context;
  await tell(context, await storage().getGroup({ params: { name } }, { signal }));
}

async function add(context: Context, name: string, people: readonly string[]): Promise<undefined> {
  const { storage, signal } = context;
  await storage().putGroup({ params: { name } }, { signal });
  for (const person of people) await storage().addMember({ params: { name, person } }, { signal });
  await tell(context, await storage().getGroup({ params: { name } }, { signal }));
}

async function take(context: Context, name: string, people: readonly string[]): Promise<undefined> {
  const { storage, signal } = context;
  for (const person of people) await storage().removeMember({ params: { name, person } }, { signal });
  await tell(context, await storage().getGroup({ params: { name } }, { signal }));
}

async function remove({ terminal, storage, signal }: Context, name: string): Promise<undefined> {
  const removed = await storage().removeGroup({ params: { name } }, { signal });
  const { grants } = removed;
  await terminal.result(removed, () => `The group ${name} is gone, and ${grants} grants to it.`);
}

async function tell({ terminal }: Context, group: Group): Promise<void> {
  await terminal.result(group, () => layOut(terminal.paint, COLUMNS, [cellsOf(group)]));
}

function cellsOf({ name, members }: Group): string[] {
  return [oneLine(name, 40), oneLine(members.join(', '), 200) || '–'];
}
