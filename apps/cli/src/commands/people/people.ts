import { type CredentialRole, PAGE, type Person } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { pages } from '../../platform/pages.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { humanBytes, oneLine } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';
import { ROLES } from './credentials.ts';

/** Adds `morpheo people`. */
export function addPeople(program: Command, run: Runner): void {
  const people = program
    .command('people')
    .summary('list, add, change and remove the people who may call')
    .description(
      'The people who may call the platform, with their roles. It takes the role admin, except to see yourself. ' +
        'A new person has no token yet: make one with "morpheo tokens create --of <name>" and hand it over.',
    );
  people
    .command('list', { isDefault: true })
    .summary('list the people')
    .description('List the people with their roles and groups.')
    .action(run(list));
  people
    .command('show')
    .summary('show one person')
    .description('Show the roles and groups of a person, and how many tokens there are.')
    .argument('<name>', 'who')
    .action(run(show));
  people
    .command('set')
    .summary('add a person, or set the roles of one')
    .description('Add a person, or set the roles of one who is there: those that are named, and no other.')
    .argument('<name>', 'who; no dot, colon, space or slash')
    .requiredOption(...ROLES)
    .option('--restore', 'the person was removed and is back, with all that the name owns')
    .action(run(set));
  people
    .command('remove')
    .summary('remove a person: the tokens are refused from now on')
    .description(
      'Remove a person, with all tokens and memberships of groups. What the person owns stays under the name, for an ' +
        'admin to keep, share or delete; orders go on. The name is kept for the same person.',
    )
    .argument('<name>', 'who')
    .action(run(remove));
  examples(people, [
    ['morpheo people', 'who may call, and as what'],
    ['morpheo people set ann --roles uploader,reader', 'add ann, or set her roles'],
    ['morpheo people remove ann', 'let her in no more'],
  ]);
}

const COLUMNS: readonly Column[] = [
  { title: 'name' },
  { title: 'roles' },
  { title: 'groups' },
  { title: 'tokens', align: 'right' },
];

async function list({ terminal, storage, signal }: Context): Promise<undefined> {
  const all = pages((cursor) => storage().listPeople({ query: { limit: PAGE.most, cursor } }, { signal }));
  const items = (await Array.fromAsync(all)).flatMap((page) => page.items);
  await terminal.result({ items }, () =>
    items.length === 0
      ? 'There are no people yet, only callers of credentials files. Add one with "morpheo people set".'
      : layOut(terminal.paint, COLUMNS, items.map(cellsOf)),
  );
}

async function show({ terminal, storage, signal }: Context, name: string): Promise<undefined> {
  const person = await storage().getPerson({ params: { name } }, { signal });
  await terminal.result(person, () => layOut(terminal.paint, COLUMNS, [cellsOf(person)]));
}

async function set(
  { terminal, storage, signal }: Context,
  name: string,
  { roles, restore }: { roles: CredentialRole[]; restore?: boolean },
): Promise<undefined> {
  const person = await storage().putPerson({ params: { name }, body: { roles, restore } }, { signal });
  await terminal.result(person, () => {
    const hint = person.tokens === 0 ? `\n${name} has no token yet: morpheo tokens create --of ${name}` : '';
    return `${layOut(terminal.paint, COLUMNS, [cellsOf(person)])}${hint}`;
  });
}

async function remove({ terminal, storage, signal }: Context, name: string): Promise<undefined> {
  const removed = await storage().removePerson({ params: { name } }, { signal });
  const { things, bytes } = removed.owns;
  await terminal.result(removed, () => {
    const left =
      things === 0
        ? 'Nothing on storage was owned.'
        : `${things} things (${humanBytes(bytes)}) stay under the name: an admin may share or delete them.`;
    return `${name} is let in no more. ${left}`;
  });
}

function cellsOf({ name, roles, groups, tokens }: Person): string[] {
  return [oneLine(name, 40), roles.join(', '), oneLine(groups.join(', '), 60) || '–', String(tokens)];
}
