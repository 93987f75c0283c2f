import { type CustomTypesConfig, types } from 'pg';

// Object ids of types (pg_type.dat of PostgreSQL's source).
const INT8 = 20;
const NUMERIC = 1700;

/**
 * How values come back: whole numbers of eight bytes, and sums of them, as numbers. Ours are times, sizes and counts,
 * which are exact up to 2^53. Everything else as pg has it.
 */
export const parseNumbers: CustomTypesConfig = {
  getTypeParser: (id: number, format?: 'text' | 'binary') =>
    id === INT8 || id === NUMERIC ? Number : types.getTypeParser(id, format ?? 'text'),
};
