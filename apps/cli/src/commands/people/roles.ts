import { CREDENTIAL_ROLES, type CredentialRole } from '@morpheo/common';
import { InvalidArgumentError } from 'commander';

/** The option `--roles` of commands that give roles: its flag, its help, its reader. */
export const ROLES = ['--roles <roles>', `by comma: ${CREDENTIAL_ROLES.join(', ')}`, readRoles] as const;

function readRoles(text: string): CredentialRole[] {
  return text.split(',').map((word) => {
    const role = CREDENTIAL_ROLES.find((one) => one === word.trim());
    if (role === undefined) throw new InvalidArgumentError(`Roles are ${CREDENTIAL_ROLES.join(', ')}.`);
    return role;
  });
}
