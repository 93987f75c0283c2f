import { type Api, type Contract, PlatformError } from '@morpheo/common';

/** An API that refuses every call: what a stand-in begins with, to answer some of them. */
export function refuseAll<C extends Contract>(contract: C): Api<C> {
  const refuse = (name: string) => async () => {
    throw new PlatformError('internal', `Nobody expected a call of ${name}.`);
  };
  const entries = Object.keys(contract.endpoints).map((name) => [name, refuse(name)]);
  return Object.fromEntries(entries) as Api<C>;
}
