import { access, constants, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { buildFailure, shown } from '../dockerfile/failure.ts';
import type { Recipe } from './recipe.ts';
import type { RootFolder } from './root-folder.ts';

/** Variables that the platform sets, and no order may name. */
const OF_THE_PLATFORM = /^MORPHEO_/;

/**
 * The programs of a machine's operator, where they are all that may run. Whoever orders something then chooses the program
 * and the words after it, and nothing by which it would become another one: no file of an archive, and no variable, since
 * those of Node, of Python and of the linker load code. The paths that they name are places of their own run, since the
 * programs may read what is other orders', too.
 */
export class Programs {
  /** An absolute path. */
  readonly folder: string;
  readonly #variables: readonly string[];

  private constructor(folder: string, variables: readonly string[]) {
    this.folder = folder;
    this.#variables = variables;
  }

  /** `variables` may be set by others; one that ends with `_` is the beginning of several. Throws `invalid_request` where there is no such folder. */
  static async open(folder: string, variables: readonly string[] = []): Promise<Programs> {
    const isFolder = await stat(folder).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    if (!isFolder)
      throw new PlatformError('invalid_request', `--programs: ${folder} is no folder that can be read.`);
    return new Programs(resolve(folder), variables);
  }

  /** Throws `build_failed` unless an algorithm names one of these programs, and brings nothing beside. */
  async demand({ entryPoint: [name = ''], copies, environment }: Recipe): Promise<void> {
    if (copies.length > 0) throw refusal('The algorithm brings files with COPY', copies[0]?.line);
    const variable = Object.keys(environment).find((name) => !this.#maySet(name));
    if (variable !== undefined) throw refusal(`The algorithm sets the variable ${shown(variable)}`);
    const isName = /^[A-Za-z0-9][\w.-]*$/.test(name);
    const path = join(this.folder, isName ? name : '');
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!isName || !isThere) throw refusal(`${shown(name)} is none of them`);
  }

  /** Throws `build_failed` where a run has a variable of its order. */
  demandNoVariables(environment: Readonly<Record<string, string>> = {}): void {
    const isRefused = (name: string) => !OF_THE_PLATFORM.test(name) && !this.#maySet(name);
    const variable = Object.keys(environment).find(isRefused);
    if (variable !== undefined) throw refusal(`The order sets the variable ${shown(variable)}`);
  }

  /**
   * Throws `build_failed` where a word or a variable of an order names a path that is no place of its run. What an algorithm
   * names may be absent, as an input that not every order has.
   */
  demandWithin(root: RootFolder, { entryPoint, environment }: Recipe, order: OfOrder): void {
    const written: [string, string][] = [
      ...entryPoint.slice(1).map((word): [string, string] => ['The ENTRYPOINT', word]),
      ...Object.entries(environment).map(([name, value]): [string, string] => [
        `The variable ${shown(name)}`,
        value,
      ]),
    ];
    for (const [name, text] of written)
      demandNone(root.wayOut(text, { absent: true }), `${name} of the algorithm`);
    for (const [name, value] of Object.entries(order.environment ?? {}))
      if (!OF_THE_PLATFORM.test(name))
        demandNone(root.wayOut(value), `The variable ${shown(name)} of the order`);
    for (const word of order.args ?? []) demandNone(root.wayOut(word), 'The command of the order');
  }

  #maySet(name: string): boolean {
    return this.#variables.some((one) => name === one || (one.endsWith('_') && name.startsWith(one)));
  }
}

/** What an order has for a program. */
interface OfOrder {
  readonly args?: readonly string[] | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

function demandNone(path: string | undefined, whose: string): void {
  if (path === undefined) return;
  throw buildFailure(
    `${whose} names ${shown(path)}, which is no place of this run. On a worker of its operator's programs (--programs), name only paths at or below the inputs of the order and its outputs, without "..".`,
  );
}

function refusal(why: string, line?: number) {
  return buildFailure(
    `This worker runs only programs that its operator has put there, as they are (--programs). ${why}. Name one of them as ENTRYPOINT, without COPY, ENV and variables, or order it on another worker.`,
    line,
  );
}
