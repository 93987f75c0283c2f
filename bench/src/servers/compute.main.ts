import { openMemoryBroker } from '@morpheo/service/broker';
import { serve } from '../process/serve.ts';
import { openCompute } from './open-compute.ts';

// compute-api on a database file, which is the one argument.
await serve(async ([file = '']) => await openCompute({ engine: 'sqlite', file }, () => openMemoryBroker()));
