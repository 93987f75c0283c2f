import { OrderFailure, type OrderResult, resultScores } from '@morpheo/common';
import { collectFile } from './collect.ts';

/** Where a job may leave numbers that say how well it did. */
const SCORES = { name: 'score.json', bytes: 64 * 1024 } as const;

/**
 * The numbers that a job has left in `score.json` of its folder of outputs, by name; none where there is no such file.
 * What is wrong with it is told to `log`: the outputs are what counts.
 */
export async function scoresIn(
  folder: string,
  { at, log }: { readonly at: string; readonly log: (text: string) => void },
): Promise<Pick<OrderResult, 'scores'>> {
  let bytes: Uint8Array;
  try {
    bytes = await collectFile(folder, SCORES.name, { maxBytes: SCORES.bytes, at });
  } catch (error) {
    if (!(error instanceof OrderFailure)) throw error;
    if (error.failure.reason !== 'missing_result') log(`results: no scores are told. ${error.message}`);
    return {};
  }
  const parsed = resultScores.safeParse(numbersOf(bytes));
  if (parsed.success) return Object.keys(parsed.data).length === 0 ? {} : { scores: parsed.data };
  log(`results: no scores are told. ${at}/${SCORES.name} has too many numbers, or names that are too long.`);
  return {};
}

/** The members that are numbers: a program may write more. */
function numbersOf(bytes: Uint8Array): Record<string, number> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return {};
  }
  const members =
    typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? Object.entries(parsed) : [];
  return Object.fromEntries(
    members.flatMap(([name, value]: [string, unknown]) =>
      typeof value === 'number' && Number.isFinite(value) ? [[name, value]] : [],
    ),
  );
}
