const SHORTEST = 8;
const LONGEST = 36;

/**
 * Cuts the ids of one listing to a common length, 8 characters or more, at which they still differ. A command takes
 * such a beginning in place of the id.
 */
export function idShortener(ids: Iterable<string>): (id: string) => string {
  const unique = [...new Set(ids)];
  let length = SHORTEST;
  while (length < LONGEST && new Set(unique.map((id) => id.slice(0, length))).size < unique.length)
    length += 1;
  return (id) => id.slice(0, length).replace(/-$/, '');
}
