import { fill, idIn, type SeededDatabase, scatteredIn } from './seeding.ts';

export const THING = '77000000';

/**
 * Fills a database of storage-api with things, each with bytes of its own that are not there: of a hundred 50 data sets,
 * 30 predictions, ten models, five algorithms, a problem and four outputs. They belong to a hundred owners; one of ten is
 * open to all, but no prediction.
 */
export async function seedStorage(database: SeededDatabase, count: number): Promise<void> {
  // As evenly spread as digests are, as far as decimal digits go.
  const sha256 = `substr(${scatteredIn('i')}, 4) || '${'0'.repeat(55)}'`;
  const size = '100 + i % 1000';
  const now = Date.now();
  const columns: Readonly<Record<string, string>> = {
    type: `case when i % 100 < 50 then 'data' when i % 100 < 80 then 'prediction' when i % 100 < 90 then 'model'
      when i % 100 < 95 then 'algo' when i % 100 = 95 then 'problem' else 'output' end`,
    uuid: idIn(THING, 'i'),
    name: `'thing ' || cast(i as text)`,
    algo: `case when i % 100 >= 80 and i % 100 < 90 then ${idIn(THING, '90 + 100 * ((i / 100) % 10)')} end`,
    sha256,
    size,
    uploaded_at: `${now} - i * 1000`,
    seq: 'i',
    owner: `'owner-' || cast((i / 100) % 100 as text)`,
    visibility: `case when i % 1000 < 50 or i % 1000 between 80 and 99 then 'open' else 'private' end`,
    purpose: `'open'`,
    problems: `''`,
  };
  await fill(database, count, [
    `insert into blobs (sha256, size, stored_at) SELECT ${sha256}, ${size}, ${now} from n`,
    `insert into resources (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} from n`,
    `insert into grants (type, uuid, grantee)
     SELECT 'data', ${idIn(THING, 'i')}, 'person:owner-7' from n where i % 1000 = 1`,
  ]);
}
