import type { PostgresTarget } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { serve } from '../process/serve.ts';
import { openCompute } from './open-compute.ts';

// compute-api on PostgreSQL and NSQ: the arguments are the database's address as JSON, and nsqd's as host:port.
await serve(async ([address = '', nsqd = '']) => {
  const database = { engine: 'postgres', address: JSON.parse(address) as PostgresTarget } as const;
  return await openCompute(database, (log) => openNsqBroker({ nsqds: [nsqd], log }));
});
