import { type Readiness, readiness } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { CliError, EXIT, type ExitCode } from '../exit-codes.ts';
import { FURTHER_SERVICES, SERVICES, type ServiceName } from '../platform/settings.ts';
import { layOut } from '../terminal/table.ts';
import type { Paint } from '../terminal/terminal.ts';
import { oneLine } from '../terminal/text.ts';
import { examples } from './arguments.ts';

/** What came of asking a service whether it is ready. */
type Answer =
  | { readonly state: 'ready' | 'not_ready'; readonly milliseconds: number; readonly readiness: Readiness }
  | { readonly state: 'unreachable' | 'unclear'; readonly problem: string };

interface ServiceState {
  readonly service: ServiceName;
  readonly url: string;
  readonly answer: Answer;
}

const TIMEOUT_MS = 5_000;

/** Adds `morpheo status`. */
export function addStatus(program: Command, run: Runner): void {
  const command = program
    .command('status')
    .summary('say whether the services are ready, and what they miss')
    .description('Ask each service whether it is ready, and each part that it needs.')
    .action(run(status));
  examples(command, [
    ['morpheo status', 'exit code 0 when all are ready, 1 when one is not, 3 when one does not answer'],
  ]);
}

async function status(context: Context): Promise<ExitCode> {
  const { terminal, signal, address } = context;
  const located = [...SERVICES, ...FURTHER_SERVICES].flatMap((service) => {
    const url = urlOf(address, service);
    return url === undefined ? [] : [{ service, url }];
  });
  // Nothing known at all: the error of the first says what to do.
  if (located.length === 0) address('compute');
  const states = await Promise.all(
    located.map(
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
      ? answer.readiness.dependencies.map(({ name, ok, problem, warning }) => [
          `  ${oneLine(name, 40)}`,
          ok ? paint('green', 'ok') : paint('red', 'not ok'),
          oneLine(problem ?? warning ?? ''),
        ])
      : [['', '', oneLine(answer.problem)]]),
  ]);
  return layOut(paint, [{ title: '' }, { title: '' }, { title: '' }], rows, false);
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

/**
 * Asks a service's `/ready`. A 503 tells the same as a 200, so this reads either; the typed client takes a 503 for
 * an error. An answer that is none of a Morpheo service is `unclear`.
 */
async function askReadiness(url: string, signal: AbortSignal): Promise<Answer> {
  const started = performance.now();
  const limited = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/ready`, { signal: limited, redirect: 'error' });
    const body = readiness.safeParse(await response.json().catch(() => null));
    const milliseconds = Math.round(performance.now() - started);
    if (!body.success)
      return { state: 'unclear', problem: `answers ${response.status}, but not as this platform` };
    return { state: body.data.status === 'ok' ? 'ready' : 'not_ready', milliseconds, readiness: body.data };
  } catch (error) {
    signal.throwIfAborted();
    return { state: 'unreachable', problem: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}
