import { writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { Command } from 'commander';
import { runChaos } from './chaos.ts';
import { pictureOf } from './picture.ts';
import { lineOf, tableOf } from './report.ts';

const whole = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new Error(`A whole number is wanted, not ${text}.`);
  return Number(text);
};

const command = new Command('chaos')
  .description(
    'Runs the platform on its real parts, breaks them while orders come in, and judges what came of it.',
  )
  .option('--seed <n>', 'which plan of faults', whole, Math.floor(Math.random() * 2 ** 31))
  .option('--orders <n>', 'how many orders are posted', whole, 500)
  .option('--minutes <n>', 'for how long faults are made at most', whole, 10)
  .option('--faults <n>', 'how many faults are made at most', whole, 100_000)
  .option('--fault-every <ms>', 'between two faults, on average', whole, 1500)
  .option('--pace <ms>', 'between two orders, on average', whole, 100)
  .option('--docker-workers <n>', 'workers with containers of Docker', whole, 1)
  .option('--process-workers <n>', 'workers with plain processes, which cost less', whole, 2)
  .option('--picture <file>', 'where to draw how it went, as SVG')
  .action(async (options) => {
    console.log(`SEED=${options.seed}`);
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
    const result = await runChaos({
      ...{
        seed: options.seed,
        orders: options.orders,
        ...{ fewestFaults: 0, fewestStaleCalls: 0 },
        mostMinutes: options.minutes,
        mostFaults: options.faults,
      },
      ...{ faultEveryMs: options.faultEvery, paceMs: options.pace },
      ...{ dockerWorkers: options.dockerWorkers, processWorkers: options.processWorkers },
      signal: stop.signal,
      onProgress: (line) => console.error(`${new Date().toISOString()} ${line}`),
    });
    console.log(tableOf(result));
    console.log(lineOf(result));
    if (options.picture !== undefined)
      await writeFile(options.picture, pictureOf({ title: lineOf(result), ...result.course }));
    process.exitCode = result.broken.length + result.failures.length === 0 ? 0 : 1;
  });
await command.parseAsync(argv);
