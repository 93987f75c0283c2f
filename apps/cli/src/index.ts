export { EXIT, type ExitCode } from './exit-codes.ts';
export { type CliOptions, runCli } from './run-cli.ts';
export type { OutputStream } from './terminal/terminal.ts';
