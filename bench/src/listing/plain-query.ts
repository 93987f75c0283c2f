import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { PAGE } from '@morpheo/common';

/** A page of orders, as it is asked of the database itself. */
export interface PlainPage {
  /** What stands between `where` and the order. */
  readonly where: string;
  readonly values: readonly SQLInputValue[];
}

/**
 * Reads each page `times` times from a database file that nobody has open: the rows alone, by the least query that
 * gives them, without any service. Returns the milliseconds of each.
 */
export function timePlainPages(file: string, pages: readonly PlainPage[], times: number): number[][] {
  const database = new DatabaseSync(file);
  try {
    return pages.map(({ where, values }) => {
      const statement = database.prepare(
        `select * from orders where ${where} order by created_at desc, id desc limit ${PAGE.usual}`,
      );
      return Array.from({ length: times }, () => {
        const started = performance.now();
        statement.all(...values);
        return performance.now() - started;
      });
    });
  } finally {
    database.close();
  }
}
