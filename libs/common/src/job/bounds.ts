/** The bounds of the body of a job; sizes in bytes of UTF-8. */
export const MOST_IN_JOB = {
  /** Of the whole body, with what stands in it as base64. */
  bytes: 2 * 1024 * 1024,
  arguments: 1000,
  /** All arguments together. */
  argumentBytes: 65_536,
  variables: 200,
  /** The names and values of all variables together. */
  variableBytes: 65_536,
  inputs: 256,
  pathBytes: 1024,
  /** All inline inputs together, decoded. */
  inlineBytes: 1024 * 1024,
  prefixBytes: 1023,
} as const;

/** The bounds of the metrics of a job. */
export const MOST_METRICS = {
  /** Lines of one attempt: later ones are dropped. */
  lines: 10_000,
  /** Bytes of one line. */
  lineBytes: 4096,
  /** Lines of one call, which are one entry of the history. */
  together: 100,
} as const;

/** How many bytes a text of base64 stands for. */
export function decodedBytes(base64: string): number {
  return (base64.length / 4) * 3 - (/={1,2}$/.exec(base64)?.[0].length ?? 0);
}

/** How many bytes texts have together in UTF-8. */
export function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
}
