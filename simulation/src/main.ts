import { argv } from 'node:process';
import { Command } from 'commander';
import { reportOn } from './report.ts';

const command = new Command('simulate')
  .description(
    'Lives through simulated worlds, one per seed, and says where the promise about orders does not hold.',
  )
  .option('--seed <n>', 'one seed alone, with the trace of what happened', wholeNumber)
  .option('--from <n>', 'the first seed', wholeNumber, 1)
  .option('--count <n>', 'how many seeds', wholeNumber, 1000)
  .option('--json', 'the account as one line of JSON')
  .action(async (options) => {
    process.exitCode = (await reportOn(options)) ? 0 : 1;
  });
await command.parseAsync(argv);

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`A whole number is wanted, not ${text}.`);
  return Number(text);
}
