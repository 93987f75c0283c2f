import * as z from 'zod';
import { declaredJson, json } from '../contract/contract.ts';
import { type DiceboxDialect, type Endpoints, keyed, MOST_PICTURE_BODY, pictureText } from './dialects.ts';

const classify = {
  method: 'POST',
  path: '/api/classify',
  summary: 'The index of the category of a picture; -1 where no network can be asked',
  ...keyed,
  body: declaredJson(z.object({ data: pictureText }), MOST_PICTURE_BODY),
  response: json(z.object({ classification: z.int() })),
} as const;

const categories = {
  method: 'GET',
  path: '/api/categories',
  summary: 'The name of each category by its index',
  ...keyed,
  response: json(z.object({ category_map: z.record(z.string(), z.string()) })),
} as const;

/** The routes of the classification service, by dialect; both know the categories by both names of the path. */
export const DICEBOX_CLASSIFICATION = {
  '2017': {
    classify: { ...classify, status: 201 },
    categories: { ...categories, status: 201 },
    category: { ...categories, path: '/api/category', status: 201 },
  },
  '2019': {
    classify: { ...classify, status: 200 },
    categories: { ...categories, status: 200 },
    category: { ...categories, path: '/api/category', status: 200 },
  },
} as const satisfies Record<DiceboxDialect, Endpoints>;
