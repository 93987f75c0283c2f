import { hashSecret } from '@morpheo/service/http';
import * as z from 'zod';

const address = z.object({
  host: z.string(),
  port: z.int(),
  database: z.string(),
  user: z.string(),
  password: z.string(),
});

/** What a server of this benchmark is started with. */
export const readServer = z.object({
  service: z.enum(['compute', 'storage']),
  database: z.discriminatedUnion('engine', [
    z.object({ engine: z.literal('sqlite'), file: z.string() }),
    z.object({ engine: z.literal('postgres'), address }),
  ]),
  folder: z.string(),
  callers: z.array(
    z.object({
      name: z.string(),
      roles: z.array(z.enum(['admin', 'reader'])),
      secretHash: z.string(),
    }),
  ),
});

/** See {@link readServer}. */
export type ReadServer = z.infer<typeof readServer>;

/** Who asks: an admin, one of the owners, and one who has nothing. */
export const ASKERS = { admin: 'root', owner: 'owner-7', stranger: 'stranger' } as const;

/** See {@link ASKERS}. */
export type Asker = keyof typeof ASKERS;

const SECRET = 'of the benchmark';

/** The askers as a service knows them. */
export async function askers(): Promise<ReadServer['callers']> {
  const secretHash = await hashSecret(SECRET);
  return [
    { name: ASKERS.admin, roles: ['admin'], secretHash },
    { name: ASKERS.owner, roles: ['reader'], secretHash },
    { name: ASKERS.stranger, roles: ['reader'], secretHash },
  ];
}

/** What an asker sends. */
export function authorizationOf(asker: Asker): string {
  return `Basic ${Buffer.from(`${ASKERS[asker]}:${SECRET}`).toString('base64')}`;
}
