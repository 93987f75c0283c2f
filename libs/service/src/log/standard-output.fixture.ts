import { createLog, standardOutput } from './index.ts';

// Logs as many lines as its argument says, and tells on standard error that it went on.
const log = createLog({ service: 'fixture' });
for (let n = 0; n < Number(process.argv[2]); n += 1)
  log.info({ n }, 'a line that is long enough to fill a pipe soon');
process.stderr.write(`went on, ${standardOutput().dropped} dropped\n`);
