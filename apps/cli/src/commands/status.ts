import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { CliError, EXIT, type ExitCode } from '../exit-codes.ts';
import { type Answer, askReadiness } from '../platform/readiness.ts';
import { SERVICES, type ServiceName } from '../platform/settings.ts';
import { oneLine } from '../terminal/plain.ts';
import { layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { examples } from './arguments.ts';

interface ServiceState {
  readonly service: ServiceName;
  readonly url: string;
  readonly answer: Answer;
}

/** Adds `morpheo status`. */
export function addStatus(program: Command, run: Runner): void {
  const command = program
    .command('status')
    .summary('say whether the services are ready, and what they miss')
    .description('Ask each service whether it is ready, and each part that it needs.')
    .action(run((context) => status(context)));
  examples(command, [
    ['morpheo status', 'exit code 0 when all are ready, 1 when one is not, 3 when one does not answer'],
  ]);
}

async function status(context: Context): Promise<ExitCode> {
  const { terminal, signal, address } = context;
  const known = SERVICES.flatMap((service) => {
    const url = urlOf(address, service);
    return url === undefined ? [] : [{ service, url }];
  });
  // Nothing known at all: the error of the first says what to do.
  if (known.length === 0) address('compute');
  const states = await Promise.all(
    known.map(
      async ({ service, url }): Promise<ServiceState> => ({
        service,
        url,
        answer: await askReadiness(url, signal),
      }),
    ),
  );
  const items = states.map(({ service, url, answer }) => ({ service, url, ...answer }));
  await terminal.result({ items }, () => statusText(terminal.paint, states));
  if (states.some(({ answer }) => answer.state === 'unreachable')) return EXIT.unreachable;
  return states.every(({ answer }) => answer.state === 'ready') ? EXIT.ok : EXIT.failed;
}

function urlOf(address: Context['address'], service: ServiceName): string | undefined {
  try {
    return address(service).url;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.unreachable) return undefined;
    throw error;
  }
}

function statusText(paint: Paint, states: readonly ServiceState[]): string {
  const rows = states.flatMap(({ service, url, answer }) => [
    [paint('bold', service), stateText(paint, answer), url],
    ...('readiness' in answer
      ? answer.readiness.dependencies.map(({ name, ok, problem }) => [
          `  ${oneLine(name, 40)}`,
          ok ? paint('green', 'ok') : paint('red', 'not ok'),
          oneLine(problem ?? ''),
        ])
      : [['', '', oneLine(answer.problem)]]),
  ]);
  return layOut([{ title: '' }, { title: '' }, { title: '' }], rows, { head: false });
}

function stateText(paint: Paint, answer: Answer): string {
  switch (answer.state) {
    case 'ready':
      return paint('green', `ready, ${answer.milliseconds} ms`);
    case 'not_ready':
      return paint('yellow', `not ready, ${answer.milliseconds} ms`);
    case 'unclear':
      return paint('yellow', 'unclear');
    case 'unreachable':
      return paint('red', 'no answer');
  }
}
