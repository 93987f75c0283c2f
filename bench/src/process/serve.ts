/** What a server process of the benchmarks runs. */
export interface Served extends AsyncDisposable {
  readonly url: string;
}

/** What a process has used since it began. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** The most memory that it ever had at once (VmHWM). */
  readonly peakMemoryBytes: number;
}

/** What a server process tells the one that started it. */
export type Told = { readonly url: string } | { readonly usage: Usage };

/**
 * The whole of a server process: opens what it is given, tells its address, answers each message with what the process
 * has used, and ends when whoever started it lets go. Called by a program alone.
 */
export async function serve(open: (args: readonly string[]) => Promise<Served>): Promise<void> {
  const letGo = new Promise<void>((resolve) => process.once('disconnect', resolve));
  await using served = await open(process.argv.slice(2));
  tell({ url: served.url });
  process.on('message', () => tell({ usage: usage() }));
  await letGo;
}

function tell(what: Told): void {
  process.send?.(what);
}

function usage(): Usage {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return {
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    memoryBytes: process.memoryUsage.rss(),
    peakMemoryBytes: maxRSS * 1024,
  };
}
