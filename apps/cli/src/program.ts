import { VERSION } from '@morpheo/common';
import { Command } from 'commander';
import { addDefaults } from './commands/defaults.ts';
import { addGet } from './commands/get.ts';
import { addGroup } from './commands/group.ts';
import { addCall } from './commands/jobs/call.ts';
import { addRun } from './commands/jobs/run.ts';
import { addRunners } from './commands/jobs/runners.ts';
import { addLeaderboard } from './commands/leaderboard.ts';
import { addLogs } from './commands/logs.ts';
import { addLearn, addPredict } from './commands/new-order.ts';
import { addOwners } from './commands/operators/owners.ts';
import { addRetention } from './commands/operators/retention.ts';
import { addOneOrder } from './commands/orders/order.ts';
import { addOrdersList, addRuns } from './commands/orders/orders.ts';
import { addPostOrders } from './commands/orders/post-orders.ts';
import { addCredentials } from './commands/people/credentials.ts';
import { addGroups } from './commands/people/groups.ts';
import { addPeople } from './commands/people/people.ts';
import { addTokens } from './commands/people/tokens.ts';
import { addPictures } from './commands/pictures/pictures.ts';
import { addQueue, addWorkers } from './commands/platform.ts';
import { addSearch } from './commands/searches/search.ts';
import { addShare } from './commands/share.ts';
import { addStatus } from './commands/status.ts';
import { addTrainings } from './commands/trainings.ts';
import { addUp } from './commands/up.ts';
import { addUpload } from './commands/upload.ts';
import { addUsage } from './commands/usage.ts';
import type { LocalContext, Runner } from './context.ts';
import { EXIT_HELP } from './exit-codes.ts';
import type { Environment } from './platform/settings.ts';
import { type OutputStream, type Paint, painter } from './terminal/terminal.ts';

/** What the program is made with. */
export interface ProgramOptions {
  readonly run: Runner;
  readonly runLocally: Runner<LocalContext>;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Environment;
}

const DEFAULT_WIDTH = 100;

const WHERE = `Where the platform is:
  A platform on this machine writes connection.json into its data folder (MORPHEO_HOME, or ~/.morpheo), and is found
  there. Any other is named by the flags above, or by MORPHEO_STORAGE_URL, MORPHEO_COMPUTE_URL,
  MORPHEO_ORCHESTRATOR_URL and MORPHEO_DICEBOX_URL, with MORPHEO_USER and MORPHEO_PASSWORD.`;

/** Makes the program: its commands, its help, and how it tells of a wrong command line. */
export function createProgram(options: ProgramOptions): Command {
  const { run, runLocally } = options;
  const program = new Command('morpheo');
  // Before the commands are added: they inherit these settings.
  configure(program, options);
  program
    .summary('train and compare algorithms on data that nobody sees')
    .description(
      'Morpheo from a terminal: upload problems, algorithms and data, order trainings, watch them, compare.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .option('--json', 'print results as JSON to stdout, and nothing else there')
    .option(
      '--home <folder>',
      'data folder of a platform on this machine (default: MORPHEO_HOME, or ~/.morpheo)',
    )
    .option('--storage <url>', 'where the storage API is')
    .option('--compute <url>', 'where the compute API is')
    .option('--orchestrator <url>', 'where the orchestrator is')
    .option('--dicebox-url <url>', 'where dicebox is, for pictures')
    .option('--user <name>', 'who calls; the password comes from MORPHEO_PASSWORD')
    .addHelpText('after', `\n${WHERE}\n\n${EXIT_HELP}`);

  program.commandsGroup('Platform:');
  addUp(program, runLocally);
  addStatus(program, run);
  addWorkers(program, run);
  addQueue(program, run);
  addOwners(program, run);
  addRetention(program, run);
  program.commandsGroup('People:');
  addPeople(program, run);
  addGroups(program, run);
  addTokens(program, run);
  addCredentials(program, runLocally);
  program.commandsGroup('Things on storage:');
  addUpload(program, run);
  addGet(program, run);
  addShare(program, run);
  addUsage(program, run);
  addPictures(program, run);
  addTrainings(program, run);
  program.commandsGroup('Orders:');
  addLearn(program, run);
  addPredict(program, run);
  addRun(program, run);
  addRuns(program, run);
  addCall(program, run);
  addRunners(program, run);
  addDefaults(program, run);
  const orders = program
    .command('orders')
    .summary('list, show, watch, cancel and retry orders, and post many at once')
    .description('What there is to do and what was done.');
  addOrdersList(orders, run);
  addOneOrder(orders, run);
  addPostOrders(orders, run);
  addGroup(program, run);
  addSearch(program, run);
  addLogs(program, run);
  addLeaderboard(program, run);
  program.commandsGroup('Help:').helpCommand('help [command]', 'show the help of a command');
  return program;
}

function configure(program: Command, { stdout, stderr, env }: ProgramOptions): void {
  const paintOut = painter(stdout, env);
  const paintErr = painter(stderr, env);
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => stdout.columns ?? DEFAULT_WIDTH,
      getErrHelpWidth: () => stderr.columns ?? DEFAULT_WIDTH,
      getOutHasColors: () => hasColours(paintOut),
      getErrHasColors: () => hasColours(paintErr),
      outputError: (text, write) => write(inOneLine(text, paintErr)),
    })
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (title) => paintOut('bold', title),
    })
    .showHelpAfterError('See --help of the command.');
}

function hasColours(paint: Paint): boolean {
  return paint('bold', 'x') !== 'x';
}

function inOneLine(text: string, paint: Paint): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, ' ');
  return `${line.replace(/^error:/, `${paint('red', 'error')}:`)}\n`;
}
