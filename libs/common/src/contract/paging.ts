import { z } from 'zod';

/** How many items a page holds at most, and how many where the caller does not say. */
export const PAGE = { most: 200, usual: 30 } as const;

/** The query of a list: `cursor` is the `next` of the page before; items come newest first. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(PAGE.most).optional(),
  cursor: z.string().max(200).optional(),
};

/** A page of a list: `total` counts all that fit the filters, `next` is absent on the last page. */
export function pageOf<S extends z.ZodType>(item: S) {
  return z.object({ items: z.array(item), total: z.int(), next: z.string().optional() });
}

/** A time as /v1 shows it: RFC 3339 in UTC with milliseconds. */
export const timestamp = z.iso.datetime();
