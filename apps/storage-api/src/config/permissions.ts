import { VISIBILITIES } from '@morpheo/common';
import { defineSettings } from '@morpheo/service/config';
import { z } from 'zod';
import { DEFAULT_SETTINGS } from './settings.ts';

/** Who may use what is uploaded by clients that cannot say, and what is from before there were owners. */
export const permissionSettings = defineSettings({
  defaultVisibility: {
    flag: 'default-visibility',
    env: 'MORPHEO_STORAGE_DEFAULT_VISIBILITY',
    schema: z.enum(VISIBILITIES),
    default: DEFAULT_SETTINGS.defaultVisibility,
    help: 'Who may use what is uploaded without a word on it, and results: private: its owner; open: everybody known.',
  },
  defaultPurpose: {
    flag: 'default-purpose',
    env: 'MORPHEO_STORAGE_DEFAULT_PURPOSE',
    schema: z.enum(['open', 'train', 'predict']),
    default: DEFAULT_SETTINGS.defaultPurpose,
    help: 'For what data may be used that is uploaded without a word on it; open: for anything.',
  },
  legacy: {
    flag: 'legacy',
    env: 'MORPHEO_STORAGE_LEGACY',
    schema: z.enum(['open', 'closed']),
    default: DEFAULT_SETTINGS.legacy,
    help: 'Whether everybody known may use what was stored before there were owners; closed: its owner and admins alone.',
  },
  anonymousGrants: {
    flag: 'anonymous-grants',
    env: 'MORPHEO_STORAGE_ANONYMOUS_GRANTS',
    schema: z.enum(['none', 'open', 'all']),
    default: DEFAULT_SETTINGS.anonymousGrants,
    help: 'What orders without credentials may use: none, what is open to everybody, or all. Purposes hold always.',
  },
  outputs: {
    flag: 'outputs',
    env: 'MORPHEO_STORAGE_OUTPUTS',
    schema: z.enum(['limited', 'open']),
    default: DEFAULT_SETTINGS.outputs,
    help: 'Whether what orders do with data and print of it is limited to who may read it, or open to everybody.',
  },
});
