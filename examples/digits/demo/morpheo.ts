import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { runCli } from '@morpheo/cli';

/** The command line tool, called in this process as a person would call it in a shell; each command is shown. */
export class Morpheo {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Runs a command whose output is for the reader. Throws where it fails. */
  async run(...argv: string[]): Promise<void> {
    await this.#call(argv, process.stdout);
  }

  /** Uploads a folder or a file, and returns its uuid. */
  async upload(type: 'problem' | 'algo' | 'data', path: string, ...options: string[]): Promise<string> {
    type Uploaded = { uuid: string } | { items: { uuid: string }[] };
    const answer = await this.#json<Uploaded>('upload', type, path, ...options);
    const uploaded = 'items' in answer ? answer.items[0] : answer;
    if (uploaded === undefined) throw new Error(`${path} was not uploaded`);
    return uploaded.uuid;
  }

  /** Waits for a prediction order, and returns its predictions, a line each, by way of a file. */
  async prediction(order: string, file: string): Promise<string[]> {
    await this.run('orders', 'watch', order);
    const { result } = await this.#json<{ result: { uuid: string } }>('orders', 'show', order);
    await this.#json('get', 'prediction', result.uuid, '-o', file);
    return (await readFile(file, 'utf8')).trim().split('\n');
  }

  async #json<T>(...argv: string[]): Promise<T> {
    let text = '';
    const stdout = new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    });
    await this.#call([...argv, '--json'], stdout);
    return JSON.parse(text) as T;
  }

  async #call(argv: readonly string[], stdout: NodeJS.WritableStream): Promise<void> {
    process.stdout.write(`${styleText('dim', `$ morpheo ${argv.map(quoted).join(' ')}`)}\n`);
    const env = { ...process.env, MORPHEO_HOME: this.#home };
    const code = await runCli({ argv: [...argv], env, stdout: stdout as Writable, stderr: process.stderr });
    if (code !== 0) throw new Error(`morpheo ${argv.join(' ')} ended with exit code ${code}`);
  }
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
