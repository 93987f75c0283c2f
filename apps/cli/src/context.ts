import { computeClient, storageClient } from '@morpheo/client';
import {
  type ClassificationContract,
  classificationClient,
  type PicturesContract,
  picturesClient,
} from '@morpheo/client/dicebox';
import type { Api, ComputeContract, StorageContract } from '@morpheo/common';
import type { ExitCode } from './exit-codes.ts';
import type { Environment, PlatformFlags, ServiceAddress, ServiceName } from './platform/settings.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What a command is given that calls no service. */
export interface LocalContext {
  readonly terminal: Terminal;
  readonly env: Environment;
  readonly flags: PlatformFlags;
  /** Aborts what the command does: Ctrl-C, or nobody reads its output any more. */
  readonly signal: AbortSignal;
}

/** What every other command is given. */
export interface Context extends LocalContext {
  /** Where a service is; throws a `CliError` where that is not known. */
  readonly address: (name: ServiceName) => ServiceAddress;
  readonly storage: () => Api<StorageContract>;
  readonly compute: () => Api<ComputeContract>;
  readonly pictures: () => Api<PicturesContract>;
  readonly classification: () => Api<ClassificationContract>;
}

/** Wraps the work of a command for commander: `A` are the arguments and the options as commander hands them on. */
export type Runner<C extends LocalContext = Context> = <A extends unknown[]>(
  work: (context: C, ...args: A) => Promise<ExitCode | undefined>,
) => (...args: A) => Promise<void>;

/** A {@link Context} for a platform that was found; each client is made when it is first asked for. */
export function createContext(local: LocalContext, address: Context['address']): Context {
  let storage: Api<StorageContract> | undefined;
  let compute: Api<ComputeContract> | undefined;
  let pictures: Api<PicturesContract> | undefined;
  let classification: Api<ClassificationContract> | undefined;
  return {
    ...local,
    address,
    storage: () => {
      storage ??= storageClient(address('storage'));
      return storage;
    },
    compute: () => {
      compute ??= computeClient(address('compute'));
      return compute;
    },
    pictures: () => {
      pictures ??= picturesClient(address('dicebox'));
      return pictures;
    },
    classification: () => {
      classification ??= classificationClient(address('classification'));
      return classification;
    },
  };
}
