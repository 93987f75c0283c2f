import type { SettingsOf } from '@morpheo/service/config';
import { defineSettings } from '@morpheo/service/config';
import { z } from 'zod';

const DAY_MS = 86_400_000;

/** What is kept of orders that have ended; times in milliseconds, null: for ever. */
export interface RetentionSettings {
  /** How long an order is kept after its end, with its history. */
  readonly ordersMs: number | null;
  /** How many orders that have ended are kept at most, the newest; null: any number. */
  readonly mostOrders: number | null;
  /** How long the log of an order is kept after its end; null: as long as the order. */
  readonly logsMs: number | null;
  /** How long it is remembered that an order was removed. */
  readonly idsMs: number | null;
  /** How many of the best models of a problem are kept with their orders. */
  readonly best: number;
  /** Whether the model or prediction of an order is removed from storage with the order. */
  readonly removeOutputs: boolean;
  /** How often what is too old is removed. */
  readonly everyMs: number;
  /** How long one call of an operator goes on before it answers. */
  readonly callMs: number;
}

/** What production uses where nothing else is said. */
export const RETENTION_DEFAULTS: RetentionSettings = {
  ordersMs: 30 * DAY_MS,
  mostOrders: null,
  logsMs: null,
  idsMs: 90 * DAY_MS,
  best: 10,
  removeOutputs: false,
  everyMs: 60_000,
  callMs: 5000,
};

const whole = (most: number) => z.coerce.number().int().min(0).max(most);
const orOff = (most: number) =>
  z.union([z.literal('off').transform(() => 0), whole(most)], `should be from 0 to ${most}, or off`);
const days = orOff(36_500);

/** The settings of what is kept; each of them says what 0 means. */
export function retentionSettings<const Prefix extends string>(prefix: Prefix) {
  return defineSettings({
    keepOrdersDays: {
      flag: 'keep-orders-days',
      env: `${prefix}KEEP_ORDERS_DAYS`,
      schema: days,
      default: 30,
      help: 'For how many days an order is kept after its end, with its history and log; 0 or off: for ever.',
    },
    keepOrders: {
      flag: 'keep-orders',
      env: `${prefix}KEEP_ORDERS`,
      schema: orOff(1_000_000_000),
      default: 0,
      help: 'How many orders that have ended are kept at most, the newest; 0 or off: any number.',
    },
    keepLogsDays: {
      flag: 'keep-logs-days',
      env: `${prefix}KEEP_LOGS_DAYS`,
      schema: days,
      default: 0,
      help: 'For how many days the log of an order is kept after its end; 0 or off: as long as the order.',
    },
    keepIdsDays: {
      flag: 'keep-ids-days',
      env: `${prefix}KEEP_IDS_DAYS`,
      schema: days,
      default: 90,
      help: 'For how many days after its removal an order that is sent again is not run again; 0 or off: for ever.',
    },
    keepBest: {
      flag: 'keep-best',
      env: `${prefix}KEEP_BEST`,
      schema: whole(1000),
      default: 10,
      help: 'How many of the best trainings of a problem are kept whatever their age, with their models.',
    },
    removeOutputs: {
      flag: 'remove-outputs',
      env: `${prefix}REMOVE_OUTPUTS`,
      schema: z.stringbool().optional(),
      switch: true,
      help: 'Remove the model or prediction of an order from storage together with the order. Otherwise nothing on storage is ever removed.',
    },
  });
}

type RetentionConfig = SettingsOf<ReturnType<typeof retentionSettings>>;

/** What contradicts itself in these settings. */
export function retentionContradictions(
  config: RetentionConfig & { readonly foreignWorkers?: boolean | undefined },
): string[] {
  const { keepLogsDays, keepOrdersDays, removeOutputs, foreignWorkers } = config;
  const problems: string[] = [];
  if (keepOrdersDays > 0 && keepLogsDays > keepOrdersDays) {
    problems.push('Logs go with their orders: make --keep-logs-days no more than --keep-orders-days.');
  }
  if (removeOutputs === true && foreignWorkers === true) {
    problems.push(
      "What the original's workers store is not known as an order's: leave out --remove-outputs, or --foreign-workers.",
    );
  }
  return problems;
}

/** What settings say of what is kept. */
export function retentionOf(config: RetentionConfig): RetentionSettings {
  const lasting = (some: number) => (some === 0 ? null : some * DAY_MS);
  return {
    ...RETENTION_DEFAULTS,
    ordersMs: lasting(config.keepOrdersDays),
    mostOrders: config.keepOrders === 0 ? null : config.keepOrders,
    logsMs: lasting(config.keepLogsDays),
    idsMs: lasting(config.keepIdsDays),
    best: config.keepBest,
    removeOutputs: config.removeOutputs === true,
  };
}
