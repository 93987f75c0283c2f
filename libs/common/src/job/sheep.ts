import * as z from 'zod';
import { labelKey } from '../needs.ts';

/** What kinds of sheep there are: one that runs images of a registry, and one that runs a program of its operator. */
export const SHEEP_TYPES = ['docker', 'bare'] as const;

/** A kind of {@link SHEEP_TYPES}. */
export type SheepType = (typeof SHEEP_TYPES)[number];

/** The labels that the worker of these sheep offers, and that a job needs which is for all of them. */
export function sheepLabels(
  sheep: readonly { readonly id: string; readonly type: SheepType }[],
): Record<string, string> {
  return Object.fromEntries(sheep.map(({ id, type }) => [sheepKey(id), type]));
}

const sheepKey = (id: string) => `sheep.${id}`;

/** The name of a sheep. */
export const sheepId = z
  .string()
  .refine(
    (id) => !id.includes('/') && labelKey.safeParse(sheepKey(id)).success,
    'should be a name of at most 57 letters, digits, - _ and ., with a letter or digit at its end',
  );

/** A part of the name of a model: a folder on the disk of its worker. */
const modelPart = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/,
    'should be at most 128 letters, digits, - _ and ., the first a letter, digit or _',
  );

/** A model that a bare sheep of Shepherd has. */
export const sheepModel = z.strictObject({ id: sheepId, name: modelPart, version: modelPart });

/** See {@link sheepModel}. */
export type SheepModel = z.infer<typeof sheepModel>;
