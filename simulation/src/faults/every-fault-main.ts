import { tryEveryFault } from './every-fault.ts';

/** Tries a part of the faults of a life: the seed, which part, and of how many; prints the account as JSON. */
const [seed = 1, part, parts] = process.argv.slice(2).map(Number);
process.stdout.write(JSON.stringify(await tryEveryFault(seed, part, parts)));
