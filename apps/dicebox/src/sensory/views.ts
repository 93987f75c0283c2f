import type { DiceboxDatabase, PictureSetRow } from '../db/schema.ts';
import { categoriesOf } from './sets.ts';

/** A set when it had so many pictures, as samples of it are labelled. */
export interface LabelledSet {
  readonly set: PictureSetRow;
  /** In the order of their indexes. */
  readonly categories: readonly string[];
  readonly indexes: ReadonlyMap<string, number>;
}

/** How many sets, at a number of pictures each, are kept. */
const MOST = 100;

/** Sets as batches know them. What they say never changes, so it is read once. */
export class LabelledSets {
  readonly #database: DiceboxDatabase;
  readonly #kept = new Map<string, LabelledSet>();

  constructor(database: DiceboxDatabase) {
    this.#database = database;
  }

  /** A set as it was with its first so many pictures. */
  async of(id: string, pictures: number): Promise<LabelledSet> {
    const key = `${id} ${pictures}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const set = await this.#database.read
      .selectFrom('picture_sets')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    const categories = (await categoriesOf(this.#database.read, id, pictures)).map(({ name }) => name);
    const made = { set, categories, indexes: new Map(categories.map((name, index) => [name, index])) };
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MOST) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(key, made);
    return made;
  }
}
