import { type Outcome, simulate } from './simulate.ts';

/** Which seeds to live through, and how to tell of it. */
export interface ReportOptions {
  readonly seed?: number;
  readonly from: number;
  readonly count: number;
  readonly json?: boolean;
}

/** What came of many seeds. */
export interface Account {
  readonly seeds: number;
  readonly orders: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly staleCalls: number;
  /** The longest way back to rest, in seconds of its world. */
  readonly slowestRecoverySeconds: number;
  /** The seeds in which a promise was broken, each with the first sentence. */
  readonly broken: readonly { readonly seed: number; readonly what: string }[];
  readonly seconds: number;
}

/** Lives through the seeds and prints what came of them; whether every promise held. */
export async function reportOn({ seed, from, count, json }: ReportOptions): Promise<boolean> {
  if (seed !== undefined) return tellOne(await simulate(seed));
  const account = await accountFor(from, count);
  console.log(json === true ? JSON.stringify(account) : tableOf(account));
  return account.broken.length === 0;
}

async function accountFor(from: number, count: number): Promise<Account> {
  const startedAt = performance.now();
  const outcomes: Omit<Outcome, 'trace'>[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    const { trace: _trace, ...outcome } = await simulate(seed);
    outcomes.push(outcome);
  }
  const faults: Record<string, number> = {};
  for (const [kind, times] of outcomes.flatMap((one) => Object.entries(one.faults))) {
    faults[kind] = (faults[kind] ?? 0) + times;
  }
  const sum = (of: (one: (typeof outcomes)[number]) => number) =>
    outcomes.reduce((total, one) => total + of(one), 0);
  return {
    seeds: count,
    orders: sum((one) => one.orders),
    faults,
    staleCalls: sum((one) => one.staleCalls),
    slowestRecoverySeconds: Math.max(...outcomes.map((one) => one.recoverySeconds)),
    broken: outcomes.flatMap(({ seed, broken: [what] }) => (what === undefined ? [] : [{ seed, what }])),
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
}

function tellOne({ trace, broken, seed }: Outcome): boolean {
  console.log(trace.join('\n'));
  for (const what of broken) console.log(`BROKEN: ${what}`);
  console.log(
    broken.length === 0 ? `Every promise held in seed ${seed}.` : `Again: make simulate SEED=${seed}`,
  );
  return broken.length === 0;
}

function tableOf(account: Account): string {
  const faults = Object.entries(account.faults).map(([kind, times]) => `${times} × ${kind}`);
  const rows = [
    ['seeds', account.seeds],
    ['orders', account.orders],
    ['faults beside those of calls and writes', faults.join(', ')],
    ['stale calls refused', account.staleCalls],
    ['slowest way back to rest', `${account.slowestRecoverySeconds} s of its world`],
    ['seeds with a broken promise', account.broken.length],
    ['took', `${account.seconds} s`],
  ];
  const width = Math.max(...rows.map(([name]) => String(name).length));
  const lines = rows.map(([name, value]) => `${String(name).padEnd(width)}  ${value}`);
  const broken = account.broken
    .slice(0, 20)
    .map(({ seed, what }) => `BROKEN: ${what} (make simulate SEED=${seed})`);
  return [...lines, ...broken].join('\n');
}
