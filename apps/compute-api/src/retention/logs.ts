import { type ComputeDatabase, timeOf } from '../db/database.ts';
import type { RetentionSettings } from './settings.ts';

/**
 * Whether the log of an order was removed, as far as its age tells: it does not tell whether there was one, since not
 * everybody may know that.
 */
export async function isLogRemoved(
  database: ComputeDatabase,
  id: string,
  { logsMs }: Pick<RetentionSettings, 'logsMs'>,
): Promise<boolean> {
  if (logsMs === null) return false;
  const { read } = database;
  const row = await read
    .selectFrom('orders')
    .select(['attempt', 'ended_at'])
    .where('id', '=', id)
    .where('ended_at', '<', (await timeOf(database)) - logsMs)
    .executeTakeFirst();
  if (row === undefined || row.attempt === 0) return false;
  const chunk = await read
    .selectFrom('logs')
    .select('seq')
    .where('order_id', '=', id)
    .limit(1)
    .executeTakeFirst();
  return chunk === undefined;
}
