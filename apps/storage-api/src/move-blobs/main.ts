import { runAsProcess } from '../maintenance/command.ts';
import { runMove } from './run.ts';

void runAsProcess(
  'move-blobs',
  process.argv.slice(2),
  runMove,
  'Called again, it goes on with what is left.',
);
