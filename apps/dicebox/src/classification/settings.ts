import type { PictureSetKey } from '@morpheo/common';
import { defineSettings, duration, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

const PREFIX = 'MORPHEO_DICEBOX_';

/** Which networks replace the one in use by themselves. */
const ADOPTIONS = ['better', 'newest', 'manual'] as const;

/** By what networks are chosen. */
export interface AdoptionRule {
  /** `better`: one that is not worse on held-out pictures; `newest`: any that is newer; `manual`: none. */
  readonly adopt: (typeof ADOPTIONS)[number];
  /** How much less accurate one may be that is not worse, 0 to 1. */
  readonly margin: number;
}

/** The settings of the classification service. */
export const classificationSettings = defineSettings({
  adopt: {
    flag: 'adopt',
    env: `${PREFIX}ADOPT`,
    schema: z.enum(ADOPTIONS),
    default: 'better',
    help: 'Which network takes the place of the one in use by itself: better (one that is not worse on held-out pictures), newest, or manual (none).',
  },
  adoptMargin: {
    flag: 'adopt-margin',
    env: `${PREFIX}ADOPT_MARGIN`,
    schema: z.coerce.number().min(0).max(1),
    default: 0,
    help: 'How much lower the accuracy of a newer network may be that is not worse, such as 0.01.',
  },
  answerMs: {
    flag: 'answer-within',
    env: `${PREFIX}ANSWER_WITHIN`,
    schema: duration,
    default: 30_000,
    help: 'How long a classification may take, the start of a runner and a second try included.',
  },
  watchMs: {
    flag: 'watch-trainings',
    env: `${PREFIX}WATCH_TRAININGS`,
    schema: duration,
    default: 5000,
    help: 'How often it is looked whether trainings have ended.',
  },
  trainingsOf: {
    flag: 'trainings-of',
    env: `${PREFIX}TRAININGS_OF`,
    schema: z.string().min(1).optional(),
    help: 'Whose trainings give the network in use: the owner of their set of pictures. Absent: that of --api-user, or anybody where callers need no key.',
  },
  sensory: {
    flag: 'sensory',
    env: `${PREFIX}SENSORY`,
    schema: z.url({ protocol: /^https?$/ }).optional(),
    help: 'Where browsers reach the sensory service, for the page to store pictures, such as http://127.0.0.1:8002; where absent, at the address of the page.',
  },
});

/** What classification does by itself, and how long it waits. */
export interface ClassificationOptions {
  /** The set of pictures whose trainings give the network in use; any where absent. */
  readonly set: PictureSetKey | undefined;
  /** The account whose orders are dicebox's trainings; anybody's where absent. */
  readonly owner?: string | undefined;
  /** Whose sets of pictures they are on; anybody's where absent. */
  readonly trainingsOf?: string | undefined;
  readonly rule: AdoptionRule;
  readonly answerMs: number;
  readonly watchMs: number;
  /** Where browsers reach the sensory service; where the page is, where absent. */
  readonly sensory?: string | undefined;
  /** What `API-VERSION` is that the page sends. */
  readonly version: string;
}

/** What a process does that has these settings; `apiVersion` is one that it takes. */
export function classificationOf(
  config: SettingsOf<typeof classificationSettings> & {
    readonly apiVersion: string;
    readonly apiUser: string;
    readonly apiKey?: unknown;
    readonly credentials?: unknown;
    readonly pictureSet?: PictureSetKey | undefined;
    readonly computeUser?: string | undefined;
  },
): ClassificationOptions {
  const {
    pictureSet: set,
    computeUser: owner,
    adopt,
    adoptMargin: margin,
    answerMs,
    watchMs,
    sensory,
    apiVersion: version,
    // Who are asked nothing are not told from one another.
    trainingsOf = config.apiKey === undefined && config.credentials === undefined
      ? undefined
      : config.apiUser,
  } = config;
  return { set, owner, trainingsOf, rule: { adopt, margin }, answerMs, watchMs, sensory, version };
}
