import {
  type BatchAnswer,
  type BytesOut,
  type Call,
  issueMessage,
  MOST_IN_BATCH,
  MOST_IN_JOB,
  type OrderSpec,
  orderSpec,
  PlatformError,
  type Settled,
  toPlatformError,
} from '@morpheo/common';
import { chunksOf, type Line } from '@morpheo/service/http';
import { type Intake, TOGETHER } from '../orders/submit.ts';

/** How much of a reason is told: it may repeat what stands in a line. */
const MOST_DETAIL = 500;
/** So many bytes of lines are held at once, beside the answers. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Takes in the orders of a batch, a line each, and answers each by a line once all are on disk. No more than some of the
 * lines are in memory at once. What is behind the {@link MOST_IN_BATCH}th is refused by one line.
 */
export async function placeBatch(
  intake: Intake,
  body: AsyncIterable<Uint8Array>,
  principal: Call['principal'],
): Promise<BytesOut> {
  const answers: string[] = [];
  const note = (some: readonly BatchAnswer[]) => {
    for (const one of some) answers.push(`${JSON.stringify(one)}\n`);
  };
  // While some wait for the disk, the next are read.
  let placing: Promise<BatchAnswer[]> = Promise.resolve([]);
  const bounds = { most: TOGETHER, bytes: CHUNK_BYTES, lineBytes: MOST_IN_JOB.bytes };
  for await (const lines of chunksOf(body, bounds)) {
    const orders = lines.map(read);
    note(await placing);
    const room = MOST_IN_BATCH - answers.length;
    placing = place(intake, orders.slice(0, room), principal);
    // It is awaited in the next turn, where the body brings one.
    placing.catch(() => undefined);
    const beyond = orders[room];
    if (beyond === undefined) continue;
    note(await placing);
    placing = Promise.resolve([refusal(beyond.line, tooMany())]);
    break;
  }
  note(await placing);
  const text = Buffer.from(answers.join(''));
  return {
    status: 200,
    headers: {
      'content-type': 'application/x-ndjson',
      'content-length': String(text.byteLength),
      'cache-control': 'no-store',
    },
    body: new Blob([text]).stream(),
  };
}

/** What a line is read as: an order, or why it is none. */
interface Read {
  readonly line: number;
  readonly order: OrderSpec | PlatformError;
}

function read({ line, text }: Line): Read {
  try {
    if (text instanceof PlatformError) return { line, order: text };
    const result = orderSpec.safeParse(JSON.parse(text));
    if (result.success) return { line, order: result.data };
    const issues = result.error.issues.slice(0, 5);
    const told = issues.map((issue) => `${issue.path.join('.') || 'the order'}: ${issueMessage(issue)}`);
    return { line, order: new PlatformError('invalid_request', told.join('; ')) };
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : 'it is nested too deep';
    return { line, order: new PlatformError('invalid_json', `The line is not JSON: ${reason}.`, { cause }) };
  }
}

async function place(
  intake: Intake,
  lines: readonly Read[],
  principal: Call['principal'],
): Promise<BatchAnswer[]> {
  const orders = lines.flatMap(({ order }) => (order instanceof PlatformError ? [] : [order]));
  const outcomes = (await placed(intake, orders, principal)).values();
  return lines.map(({ line, order }) => {
    if (order instanceof PlatformError) return refusal(line, order);
    const outcome = outcomes.next().value;
    if (outcome?.status !== 'fulfilled') return refusal(line, toPlatformError(outcome?.reason));
    return { line, status: 202, uuid: order.uplet.uuid, ...outputOf(outcome.value) };
  });
}

/** What came of orders; where a part that is needed does not answer, that of all of them. Throws what is our fault. */
async function placed(
  intake: Intake,
  orders: readonly OrderSpec[],
  principal: Call['principal'],
): Promise<Settled<OrderSpec | undefined>[]> {
  let outcomes: Settled<OrderSpec | undefined>[];
  try {
    outcomes = await intake.submitMany(orders, principal);
  } catch (reason) {
    outcomes = orders.map(() => ({ status: 'rejected', reason }));
  }
  for (const one of outcomes) {
    if (one.status === 'rejected' && toPlatformError(one.reason).code === 'internal') throw one.reason;
  }
  return outcomes;
}

function refusal(line: number, error: PlatformError): BatchAnswer {
  return { line, status: error.status, code: error.code, detail: error.message.slice(0, MOST_DETAIL) };
}

function tooMany(): PlatformError {
  return new PlatformError(
    'too_large',
    `A batch has at most ${MOST_IN_BATCH} orders: neither this line nor any behind it was read. Send them in another batch.`,
  );
}

/** The id that the outputs of a job have on storage; nothing where none are kept there. */
export function outputOf(kept: OrderSpec | undefined): { output?: string } {
  if (kept?.kind !== 'job') return {};
  const { output, outputs } = kept.uplet;
  return output === undefined || outputs?.storage === false ? {} : { output };
}
