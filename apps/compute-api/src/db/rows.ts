import { type RawBuilder, sql } from 'kysely';
import type { Tx } from './database.ts';

/** Of what type a column of {@link rowsOf} is; a value of any may be null. */
type ColumnType = 'text' | 'integer' | 'bigint';

/** The columns of rows, by name. */
export type Columns<Row> = { readonly [Name in keyof Row]: ColumnType };

/**
 * Any number of rows as a table of the name `posted`, for a statement that reads them: one parameter, and so one
 * statement for any number, which is compiled once. A text that is no Unicode (half a surrogate pair) is mended.
 */
export function rowsOf<Row extends Readonly<Record<keyof Row, string | number | null>>>(
  { engine }: Pick<Tx, 'engine'>,
  columns: Columns<Row>,
  rows: readonly Row[],
): RawBuilder<unknown> {
  const names = Object.keys(columns) as (keyof Row & string)[];
  const values = jsonOf(rows.map((row) => names.map((name) => row[name])));
  if (engine === 'sqlite') {
    const members = names.map((name, at) => sql`value ->> ${sql.lit(at)} as ${sql.ref(name)}`);
    return sql`(select ${sql.join(members)} from json_each(${values})) as posted`;
  }
  const members = names.map((name, at) => {
    const type = sql.raw(columns[name]);
    return sql`(value ->> ${sql.lit(at)})::${type} as ${sql.ref(name)}`;
  });
  return sql`(select ${sql.join(members)} from jsonb_array_elements(${values}::jsonb)) as posted`;
}

/** JSON that every engine reads: PostgreSQL refuses half a surrogate pair, and JSON escapes nothing else by `\ud`. */
function jsonOf(rows: readonly unknown[]): string {
  const text = JSON.stringify(rows);
  if (!/\\ud[89a-f]/i.test(text)) return text;
  return JSON.stringify(rows, (_, value) => (typeof value === 'string' ? value.toWellFormed() : value));
}
