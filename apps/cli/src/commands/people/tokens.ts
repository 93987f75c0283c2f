import type { PersonToken } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { CliError, EXIT } from '../../exit-codes.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { oneLine } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

interface Of {
  readonly of?: string;
}

const OF = ['--of <name>', 'of whom; you where absent, others as an admin'] as const;

/** Adds `morpheo tokens`. */
export function addTokens(program: Command, run: Runner): void {
  const tokens = program
    .command('tokens')
    .summary('list, make and revoke tokens, by which a person is let in')
    .description(
      'Tokens, by which a person is let in: one for each machine or script, so that one that is lost can be revoked ' +
        'by itself. Set MORPHEO_USER to the name and MORPHEO_PASSWORD to the rest of the token.',
    );
  tokens
    .command('list', { isDefault: true })
    .summary('list tokens, without their secrets')
    .description('List the tokens of a person, without their secrets.')
    .option(...OF)
    .action(run(list));
  tokens
    .command('create')
    .summary('make a token; it is shown this once')
    .description('Make a token. It is shown this once, and kept nowhere.')
    .option(...OF)
    .option('--label <text>', 'what it is for, such as the name of a machine')
    .action(run(create));
  tokens
    .command('revoke')
    .summary('revoke a token: it is refused at once, or seconds later')
    .description('Revoke a token: storage refuses it at once, other services some seconds later.')
    .argument('[id]', 'as "morpheo tokens" shows it')
    .option(...OF)
    .option('--all', 'all tokens of the person')
    .action(run(revoke));
  examples(tokens, [
    ['morpheo tokens create --label laptop', 'a token of your own'],
    ['morpheo tokens create --of ann', 'the first token of ann, as an admin'],
    ['morpheo tokens revoke 0b9c1f2a3d4e', 'that token is good for nothing any more'],
    ['morpheo tokens revoke --all --of ann', 'all of ann, as an admin'],
  ]);
}

const COLUMNS: readonly Column[] = [{ title: 'id' }, { title: 'made' }, { title: 'label' }];

async function list(context: Context, { of }: Of): Promise<undefined> {
  const { terminal } = context;
  const name = nameOf(context, of);
  const items = await tokensOf(context, name);
  await terminal.result({ items }, () =>
    items.length === 0
      ? `${name} has no token. Make one with "morpheo tokens create".`
      : layOut(
          terminal.paint,
          COLUMNS,
          items.map(({ id, label, created_at: made }) => [id, made, oneLine(label, 60) || '–']),
        ),
  );
}

async function create(context: Context, { of, label }: Of & { label?: string }): Promise<undefined> {
  const { terminal, storage, signal } = context;
  const name = nameOf(context, of);
  const made = await storage().makeToken({ params: { name }, body: { label } }, { signal });
  const secret = made.token.slice(name.length + 1);
  await terminal.result(made, () =>
    [
      'This is shown once. Keep it where nobody else reads it:',
      `  MORPHEO_USER=${name}`,
      `  MORPHEO_PASSWORD=${secret}`,
      `or, for other clients, Authorization: Bearer ${made.token}`,
    ].join('\n'),
  );
}

async function revoke(
  context: Context,
  id: string | undefined,
  { of, all = false }: Of & { all?: boolean },
): Promise<undefined> {
  const { terminal, storage, signal } = context;
  if ((id === undefined) === !all) throw new CliError(EXIT.usage, 'Name one token by its id, or say --all.');
  const name = nameOf(context, of);
  const ids = id === undefined ? (await tokensOf(context, name)).map((token) => token.id) : [id];
  for (const one of ids) await storage().revokeToken({ params: { name, id: one } }, { signal });
  await terminal.result({ revoked: ids }, () => `${ids.length} of ${name} revoked.`);
}

async function tokensOf({ storage, signal }: Context, name: string): Promise<readonly PersonToken[]> {
  return (await storage().listTokens({ params: { name } }, { signal })).items;
}

function nameOf({ address }: Context, of: string | undefined): string {
  const name = of ?? address('storage').credentials?.name;
  if (name !== undefined) return name;
  throw new CliError(EXIT.usage, 'Whose tokens? You call without a name: say --of <name>.');
}
