import { randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { CREDENTIAL_ROLES, type CredentialRole, errnoOf } from '@morpheo/common';
import type { FileCredential } from '@morpheo/service/http';
import { type Command, InvalidArgumentError } from 'commander';
import type { LocalContext, Runner } from '../../context.ts';
import { CliError, EXIT } from '../../exit-codes.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { examples } from '../arguments.ts';

/** The option `--roles` of commands that give roles: its flag, its help, its reader. */
export const ROLES = ['--roles <roles>', `by comma: ${CREDENTIAL_ROLES.join(', ')}`, readRoles] as const;

function readRoles(text: string): CredentialRole[] {
  return text.split(',').map((word) => {
    const role = CREDENTIAL_ROLES.find((one) => one === word.trim());
    if (role === undefined) throw new InvalidArgumentError(`Roles are ${CREDENTIAL_ROLES.join(', ')}.`);
    return role;
  });
}

interface Of {
  readonly file: string;
}

interface SetOptions extends Of {
  readonly roles: readonly CredentialRole[];
  readonly replace?: boolean;
}

const FILE = ['--file <file>', 'the credentials file of a service (--credentials)'] as const;

/** Adds `morpheo credentials`. */
export function addCredentials(program: Command, run: Runner<LocalContext>): void {
  const credentials = program
    .command('credentials')
    .summary('list, add and remove the callers of a credentials file')
    .description(
      'The callers of a credentials file, which a service reads with --credentials: services, and the first admin. It ' +
        'changes the file alone and calls nobody; a service that runs reads it again within five seconds.',
    );
  credentials
    .command('list', { isDefault: true })
    .summary('list the callers with their roles')
    .description('List the callers of the file with their roles.')
    .requiredOption(...FILE)
    .action(run(list));
  credentials
    .command('set')
    .summary('add a caller; the secret is shown this once')
    .description(
      'Add a caller with a random secret, which is shown this once: the file holds a hash. The file is made where ' +
        'there is none, and only its user may read it.',
    )
    .argument('<name>', 'who; no dot, colon or space')
    .requiredOption(...ROLES)
    .requiredOption(...FILE)
    .option('--replace', 'the name is there: give it these roles and another secret')
    .action(run(set));
  credentials
    .command('remove')
    .summary('remove a caller')
    .description(
      'Remove a caller from the file: a service that reads it refuses the caller within five seconds.',
    )
    .argument('<name>', 'who')
    .requiredOption(...FILE)
    .action(run(remove));
  examples(credentials, [
    ['morpheo credentials set admin --roles admin --file storage.json', 'the first admin'],
    ['morpheo credentials set w1 --roles worker --file compute.json --replace', 'another secret for w1'],
    ['morpheo credentials list --file compute.json', 'who may call, and as what'],
  ]);
}

const COLUMNS: readonly Column[] = [{ title: 'name' }, { title: 'roles' }];

async function list({ terminal }: LocalContext, { file }: Of): Promise<undefined> {
  const { readCredentials } = await service();
  const items = (await readCredentials(file)).map(({ name, roles }) => ({ name, roles }));
  await terminal.result({ items }, () =>
    items.length === 0
      ? `${file} names nobody. Add a caller with "morpheo credentials set".`
      : layOut(
          terminal.paint,
          COLUMNS,
          items.map(({ name, roles }) => [name, roles.join(', ')]),
        ),
  );
}

async function set(
  { terminal }: LocalContext,
  name: string,
  { file, roles, replace = false }: SetOptions,
): Promise<undefined> {
  const { hashSecret, writeCredentials } = await service();
  const { path, entries } = await openFile(file);
  const isThere = entries.some((entry) => entry.name === name);
  if (isThere && !replace) {
    const hint = 'Say --replace to give it these roles and another secret.';
    throw new CliError(EXIT.usage, `${name} is a caller of ${file} already.`, hint);
  }
  if (!isThere && replace) {
    throw new CliError(EXIT.usage, `${name} is no caller of ${file} yet.`, 'Leave out --replace to add it.');
  }
  // In hexadecimal digits it never begins with a dash, which command lines would take for a flag.
  const secret = randomBytes(32).toString('hex');
  const entry = { name, roles: [...roles], secretHash: await hashSecret(secret, { isRandom: true }) };
  const others = entries.filter((one) => one.name !== name);
  await writeCredentials(path, [...others, entry]);
  await terminal.result({ name, roles, secret, file }, () =>
    [
      `${name} may call the service that reads ${file} with --credentials, as ${roles.join(', ')}.`,
      'The secret is shown this once. Keep it where nobody else reads it:',
      ...usesOf(roles).map(([user, password]) => `  ${user}=${name}\n  ${password}=${secret}`),
    ].join('\n'),
  );
}

async function remove({ terminal }: LocalContext, name: string, { file }: Of): Promise<undefined> {
  const { readCredentials, writeCredentials } = await service();
  const entries = await readCredentials(file);
  const others = entries.filter((entry) => entry.name !== name);
  if (others.length === entries.length) {
    const hint = `See who is with "morpheo credentials list --file ${file}".`;
    throw new CliError(EXIT.notFound, `${name} is no caller of ${file}.`, hint);
  }
  await writeCredentials(await realpath(file), others);
  await terminal.result({ name, removed: true }, () => `${name} is no caller of ${file} any more.`);
}

/** Loaded by these commands alone: it takes the others longer to start. */
async function service(): Promise<typeof import('@morpheo/service/http')> {
  return await import('@morpheo/service/http');
}

/** The file where it really lies, so that a link stays one, and whom it names; nobody where it is not there yet. */
async function openFile(file: string): Promise<{ path: string; entries: readonly FileCredential[] }> {
  const { readCredentials } = await service();
  const path = await realpath(file).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  return path === undefined ? { path: file, entries: [] } : { path, entries: await readCredentials(path) };
}

/** The variables of the callers that have such roles. */
const VARIABLES: Partial<Record<CredentialRole, readonly [string, string]>> = {
  compute: ['MORPHEO_COMPUTE_STORAGE_USER', 'MORPHEO_COMPUTE_STORAGE_PASSWORD'],
  worker: ['MORPHEO_WORKER_COMPUTE_USER', 'MORPHEO_WORKER_COMPUTE_PASSWORD'],
};

function usesOf(roles: readonly CredentialRole[]): readonly (readonly [string, string])[] {
  const named = roles.flatMap((role) => {
    const variables = VARIABLES[role];
    return variables === undefined ? [] : [variables];
  });
  return named.length > 0 ? named : [['MORPHEO_USER', 'MORPHEO_PASSWORD']];
}
