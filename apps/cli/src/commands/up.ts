import type { Command } from 'commander';
import type { LocalContext, Runner } from '../context.ts';
import { CliError, EXIT, type ExitCode } from '../exit-codes.ts';
import type { Connection } from '../platform/connection-file.ts';
import { dataFolder, SERVICES } from '../platform/settings.ts';
import { standaloneEntry, startStandalone } from '../platform/standalone-process.ts';
import { examples, readInteger } from './arguments.ts';

interface UpOptions {
  readonly storagePort?: number;
  readonly computePort?: number;
  readonly orchestratorPort?: number;
  /** The configuration; true where none is named. */
  readonly shepherd?: string | true;
  readonly shepherdPort?: number;
  readonly dicebox?: true;
  readonly diceboxPort?: number;
  readonly classificationPort?: number;
}

/** Adds `morpheo up`. */
export function addUp(program: Command, run: Runner<LocalContext>): void {
  const port = readInteger(0, 65_535);
  const command = program
    .command('up')
    .summary('start a whole platform on this machine, in the foreground')
    .description(
      'Start a whole platform on this machine, in the foreground: storage, compute, an orchestrator and a worker, in one process. Ctrl-C ends it in good order (exit code 0); what was not finished goes on when it is started again.',
    )
    .argument('[flags...]', 'further flags for the platform itself, after "--"')
    .option('--storage-port <port>', 'port of the storage API; 0 for any free one', port)
    .option('--compute-port <port>', 'port of the compute API; 0 for any free one', port)
    .option('--orchestrator-port <port>', 'port of the orchestrator; 0 for any free one', port)
    .option('--shepherd [file]', 'Shepherd’s API as well, with the sheep of this configuration (YAML)')
    .option(
      '--shepherd-port <port>',
      'its port (5001, since 5000 is the orchestrator’s)',
      readInteger(1, 65_535),
    )
    .option('--dicebox', 'dicebox as well: pictures, trainings on them, and classification')
    .option('--dicebox-port <port>', 'port of its pictures and trainings (8002); 0 for any free one', port)
    .option('--classification-port <port>', 'port of its classification (8003); 0 for any free one', port)
    .action(run(up));
  examples(command, [
    ['morpheo up', 'start it; then try "morpheo status" in another terminal'],
    ['morpheo up --home ./try --storage-port 0 --compute-port 0', 'a second platform beside the first'],
    ['morpheo up --shepherd shepherd.yml', 'with Shepherd’s API on port 5001'],
    ['morpheo up --dicebox', 'with dicebox on ports 8002 and 8003'],
    ['morpheo up -- --log-level debug', 'with a flag of its own'],
  ]);
}

async function up(context: LocalContext, flags: readonly string[], options: UpOptions): Promise<ExitCode> {
  const { terminal, env, signal } = context;
  const folder = dataFolder(context.flags, env);
  const args = Object.entries({
    '--home': folder,
    '--storage-port': options.storagePort,
    '--compute-port': options.computePort,
    '--orchestrator-port': options.orchestratorPort,
    '--shepherd': options.shepherd,
    '--shepherd-port': options.shepherdPort,
    '--dicebox': options.dicebox,
    '--dicebox-port': options.diceboxPort,
    '--classification-port': options.classificationPort,
  }).flatMap(([flag, value]) => (value === undefined ? [] : [`${flag}=${value}`]));
  await using platform = await startStandalone({
    entry: standaloneEntry(),
    args: [...args, ...flags],
    folder,
    env,
    stderr: terminal.stderr,
    signal,
  });
  const connection = await platform.listening;
  if (connection !== null) await announce(context, folder, connection);
  return exitCodeOf(await platform.ended, signal.aborted);
}

async function announce({ terminal }: LocalContext, folder: string, connection: Connection): Promise<void> {
  const { paint } = terminal;
  const { credentials: _secret, api_key: _key, ...urls } = connection;
  await terminal.result({ home: folder, ...urls }, () => {
    const further = (['shepherd', 'dicebox', 'classification'] as const).filter(
      (name) => connection[name] !== undefined,
    );
    const names = [...SERVICES, ...further];
    const lines = names.map((name) => `  ${name.padEnd(16)}${paint('cyan', connection[name] ?? '–')}`);
    return [paint('bold', 'Morpheo is up.'), ...lines, `  ${'data folder'.padEnd(16)}${folder}`].join('\n');
  });
  if (connection.shepherd !== undefined)
    terminal.note(terminal.paintNote('dim', 'Shepherd’s usual port, 5000, is the orchestrator’s here.'));
  terminal.note(terminal.paintNote('dim', 'Ctrl-C ends it. In another terminal: morpheo status'));
}

function exitCodeOf(code: number | null, asked: boolean): ExitCode {
  if (code === 0) return EXIT.ok;
  if (code === EXIT.usage) return EXIT.usage;
  if (asked) return EXIT.interrupted;
  const how = code === null ? 'was killed' : `ended with exit code ${code}`;
  throw new CliError(EXIT.failed, `The platform ${how}.`, 'Its log above says more.');
}
