import { type CredentialEntry, hashSecret } from '@morpheo/service/http';
import type { StorageConfig } from './config.ts';

/** The caller that `--user` and `--password` name; none where they are not given. */
export async function ownCaller({
  user,
  password,
}: Pick<StorageConfig, 'user' | 'password'>): Promise<CredentialEntry[]> {
  if (user === undefined || password === undefined) return [];
  return [{ name: user, roles: ['admin'], secretHash: await hashSecret(password.reveal()) }];
}
